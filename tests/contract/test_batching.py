# SPDX-License-Identifier: GPL-3.0-or-later
"""Many callers at once through a real front to a real model server."""

import asyncio

import grpc
import numpy as np
import pytest

from gateway.front import metrics
from orrery.inference import InferenceError, v1
from tests.contract.model_server_testbed import MODEL, export, model_config, probability, server_config, serving
from tests.objects import eros
from tests.pods import running_front

A_AU, E, I_DEG, NODE_DEG, ARGUMENT_DEG = 1.2, 0.2, 0.1, 0.2, 0.3


def item(magnitude):
    """An object whose logit in TinyClassifier is offset - sum of its elements - H."""
    made = eros()
    made.designation = f"H {magnitude}"
    elements = made.elements
    elements.semi_major_axis_au, elements.eccentricity, elements.inclination_deg = A_AU, E, I_DEG
    elements.longitude_of_ascending_node_deg, elements.argument_of_perihelion_deg = NODE_DEG, ARGUMENT_DEG
    made.physical.absolute_magnitude_h = magnitude
    return made


def expected(magnitude, offset=1.0):
    return float(probability([[A_AU * (1 - E), E, I_DEG, NODE_DEG, ARGUMENT_DEG, magnitude]], offset)[0])


@pytest.fixture
def model_server(tmp_path):
    (tmp_path / "models" / MODEL).mkdir(parents=True)
    export(tmp_path / "models" / MODEL / "1")
    with serving(tmp_path, server_config(model_config())) as server:
        server.wait_for({1: "AVAILABLE"})
        yield server


def totals():
    """Callers and merged calls so far."""
    samples = {sample.name: sample.value for sample in metrics.BATCH_CALLS.collect()[0].samples}
    return samples["orrery_front_batch_calls_sum"], samples["orrery_front_batch_calls_count"]


async def test_concurrent_callers_are_merged_and_each_gets_its_own_answer(model_server):
    address = model_server.server.address
    async with (
        running_front(model_server_address=address, cache_rows=0) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        predict = v1.PredictionServiceStub(channel).Predict
        callers, calls = totals()
        magnitudes = np.linspace(-4.0, 4.0, 100)
        replies = await asyncio.gather(
            *(predict(v1.PredictRequest(objects=[item(magnitude)]), timeout=30) for magnitude in magnitudes)
        )
        callers, calls = totals()[0] - callers, totals()[1] - calls
    for magnitude, reply in zip(magnitudes, replies, strict=True):
        assert reply.predictions[0].designation == f"H {magnitude}"
        assert reply.predictions[0].pha_probability == pytest.approx(expected(magnitude), rel=1e-4)
        assert reply.model.version == 1
    assert callers == 100
    assert calls < 100


async def test_a_bad_caller_spoils_nobodys_batch(model_server):
    address = model_server.server.address
    async with running_front(model_server_address=address) as pod, grpc.aio.insecure_channel(pod.address) as channel:
        predict = v1.PredictionServiceStub(channel).Predict
        broken = item(1.0)
        broken.elements.eccentricity = 2.0
        asked = [broken if number % 3 == 0 else item(number / 10) for number in range(30)]
        calls = (predict(v1.PredictRequest(objects=[each]), timeout=30) for each in asked)
        replies = await asyncio.gather(*calls, return_exceptions=True)
    for number, reply in enumerate(replies):
        if number % 3 == 0:
            assert reply.code() is grpc.StatusCode.INVALID_ARGUMENT
        else:
            assert reply.predictions[0].pha_probability == pytest.approx(expected(number / 10), rel=1e-4)


async def test_callers_of_an_unknown_version_get_their_own_refusal(model_server):
    address = model_server.server.address
    async with running_front(model_server_address=address) as pod, grpc.aio.insecure_channel(pod.address) as channel:
        predict = v1.PredictionServiceStub(channel).Predict
        asked = [v1.ModelSelector(version=9) if number % 2 else v1.ModelSelector() for number in range(20)]
        calls = (predict(v1.PredictRequest(objects=[item(1.0)], model=model), timeout=30) for model in asked)
        replies = await asyncio.gather(*calls, return_exceptions=True)
    for number, reply in enumerate(replies):
        if number % 2:
            assert InferenceError(reply).reason == "MODEL_NOT_FOUND"
        else:
            assert reply.model.version == 1


async def test_more_columns_than_one_part_are_answered_whole(model_server):
    address = model_server.server.address
    count = 1_000
    magnitudes = np.linspace(-4.0, 4.0, count)
    orbits = v1.OrbitColumns(
        epoch_tdb_jd=[2459000.5],
        semi_major_axis_au=[A_AU] * count,
        eccentricity=[E] * count,
        inclination_deg=[I_DEG] * count,
        longitude_of_ascending_node_deg=[NODE_DEG] * count,
        argument_of_perihelion_deg=[ARGUMENT_DEG] * count,
        absolute_magnitude_h=magnitudes,
    )
    async with (
        running_front(model_server_address=address, batch_max_rows=50, column_part_rows=77) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        stub = v1.PredictionServiceStub(channel)
        reply = await stub.PredictColumns(v1.PredictColumnsRequest(orbits=orbits), timeout=30)
        bare = await stub.PredictColumns(v1.PredictColumnsRequest(orbits=orbits, without_definition=True), timeout=30)
        one = (await stub.Predict(v1.PredictRequest(objects=[item(0.5)]), timeout=30)).predictions[0]
    assert list(reply.pha_probability) == pytest.approx([expected(magnitude) for magnitude in magnitudes], rel=1e-4)
    assert list(reply.potentially_hazardous) == [probability >= 0.5 for probability in reply.pha_probability]
    assert list(reply.earth_moid_au) == [one.definition.earth_moid_au] * count
    assert list(reply.definition_orbit_class) == [one.definition.orbit_class] * count
    assert list(reply.definition_potentially_hazardous) == [one.definition.potentially_hazardous] * count
    assert list(reply.orbit_class) == [one.orbit_class] * count
    assert reply.model.version == 1
    bare_columns = {field.name for field, _ in bare.ListFields()}
    assert bare_columns == {"pha_probability", "potentially_hazardous", "orbit_class", "model"}
    assert bare.pha_probability == reply.pha_probability
    assert bare.orbit_class == reply.orbit_class
