# SPDX-License-Identifier: GPL-3.0-or-later
"""The front's cache in front of a model server whose versions change."""

import asyncio

import grpc
import pytest

from gateway.front import metrics
from orrery.inference import InferenceError, v1
from tests.contract.model_server_testbed import MODEL, export, model_config, server_config, serving
from tests.contract.test_batching import expected, item
from tests.pods import running_front

FRESH_S = 0.05


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def model_server(tmp_path, store):
    export(store / "1", offset=1.0)
    with serving(tmp_path, server_config(model_config())) as server:
        server.wait_for({1: "AVAILABLE"})
        yield server


def hits():
    return metrics.CACHE_HITS.value


async def test_the_same_numbers_are_answered_from_memory_under_the_callers_own_name(model_server):
    async with (
        running_front(model_server_address=model_server.server.address, cache_fresh_s=60.0) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        predict = v1.PredictionServiceStub(channel).Predict
        first = await predict(v1.PredictRequest(objects=[item(1.0)]), timeout=30)
        before = hits()
        renamed = item(1.0)
        renamed.designation = "mine"
        second = await predict(v1.PredictRequest(objects=[renamed]), timeout=30)
        assert hits() == before + 1
        assert second.predictions[0].designation == "mine"
        second.predictions[0].designation = first.predictions[0].designation
        assert second == first
        await predict(v1.PredictRequest(objects=[item(1.0000001)]), timeout=30)
        assert hits() == before + 1


async def test_another_epoch_is_another_question(model_server):
    async with (
        running_front(model_server_address=model_server.server.address, cache_fresh_s=60.0) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        predict = v1.PredictionServiceStub(channel).Predict
        first = await predict(v1.PredictRequest(objects=[item(1.0)]), timeout=30)
        later = item(1.0)
        later.elements.epoch_tdb_jd += 10_000
        second = await predict(v1.PredictRequest(objects=[later]), timeout=30)
    moids = [reply.predictions[0].definition.earth_moid_au for reply in (first, second)]
    assert moids[0] != moids[1]


async def test_a_new_version_answers_and_the_old_one_is_not_found(model_server, store):
    async with (
        running_front(model_server_address=model_server.server.address, cache_fresh_s=FRESH_S) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        predict = v1.PredictionServiceStub(channel).Predict
        newest = v1.PredictRequest(objects=[item(1.0)])
        pinned = v1.PredictRequest(objects=[item(1.0)], model=v1.ModelSelector(version=1))
        for request in (newest, pinned, newest, pinned):
            reply = await predict(request, timeout=30)
            assert reply.model.version == 1
            assert reply.predictions[0].pha_probability == pytest.approx(expected(1.0), rel=1e-4)
        await asyncio.to_thread(export, store / "2", offset=3.0)
        await asyncio.to_thread(model_server.wait_for, {2: "AVAILABLE", 1: "END"})
        await asyncio.sleep(FRESH_S)
        reply = await predict(newest, timeout=30)
        assert reply.model.version == 2
        assert reply.predictions[0].pha_probability == pytest.approx(expected(1.0, offset=3.0), rel=1e-4)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await predict(pinned, timeout=30)
        assert InferenceError(refused.value).reason == "MODEL_NOT_FOUND"
