# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference travels with the model: a front that never saw the training data says what has drifted from it."""

import asyncio

import grpc
import numpy as np
import pytest
import tensorflow as tf

from gateway.drift import Reference
from gateway.front import drift
from gateway.serving.drift import ALARM, DRIFTED, SAMPLES
from orrery.inference import v1
from tests.contract.model_server_testbed import (
    MODEL,
    TinyClassifier,
    model_config,
    server_config,
    serving,
    write_checksums,
)
from tests.contract.test_batching import item
from tests.pods import running_front


class WithReference(TinyClassifier):
    """A classifier that says what it learnt from."""

    def __init__(self, reference):
        super().__init__(1.0, "float32")
        self.reference = reference

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="rows")])
    def drift_reference(self, rows):
        return {"drift_reference": tf.fill(tf.shape(rows), self.reference)}


def export(folder, reference):
    model = WithReference(reference)
    names = ("describe", "count", "drift_reference")
    signatures = {"serving_default": model.classify, **{name: getattr(model, name) for name in names}}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    write_checksums(folder)


def learnt_from(magnitude_h):
    """A reference that knows of H alone: what never varied has one bin, and cannot drift."""
    made = {name: np.zeros(len(magnitude_h)) for name in drift.FEATURES}
    return Reference.of({**made, "absolute_magnitude_h": magnitude_h})


def value(gauge, **labels):
    return next((each.value for each in gauge.collect()[0].samples if each.labels == {"model": MODEL, **labels}), None)


# Another number of objects each time: gauges are the process's, and what was counted before must not be waited for.
@pytest.mark.parametrize(("shift", "drifted", "calls"), [(0.0, 0, 8), (2.0, 1, 9)])
async def test_what_callers_ask_is_held_against_what_the_model_learnt_from(
    tmp_path, monkeypatch, shift, drifted, calls
):
    monkeypatch.setattr("gateway.serving.drift.PERIOD_S", 0.1)
    magnitudes = np.random.default_rng(1).normal(4.0, 1.0, 4_000)
    store = tmp_path / "models" / MODEL
    store.mkdir(parents=True)
    export(store / "1", learnt_from(magnitudes).dumps())
    asked = np.random.default_rng(2).normal(4.0 + shift, 1.0, 100 * calls)
    requests = [
        v1.PredictRequest(objects=[item(magnitude) for magnitude in part])
        for part in asked.reshape(calls, 100).tolist()
    ]
    with serving(tmp_path, server_config(model_config())) as server:
        server.wait_for({1: "AVAILABLE"})
        async with (
            running_front(model_server_address=server.server.address) as pod,
            grpc.aio.insecure_channel(pod.address) as channel,
        ):
            predict = v1.PredictionServiceStub(channel).Predict
            await asyncio.gather(*(predict(request, timeout=30) for request in requests))
            async with asyncio.timeout(20):
                while value(SAMPLES, window="long") != len(asked):
                    await asyncio.sleep(0.05)
    assert value(DRIFTED, window="short", feature="absolute_magnitude_h") == drifted
    assert (value(ALARM, window="short"), value(ALARM, window="long")) == (drifted, drifted)


async def test_a_model_without_a_reference_is_not_watched_and_served_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.serving.drift.PERIOD_S", 0.05)
    store = tmp_path / "models" / MODEL
    store.mkdir(parents=True)
    export(store / "1", "{}")
    with serving(tmp_path, server_config(model_config())) as server:
        server.wait_for({1: "AVAILABLE"})
        async with (
            running_front(model_server_address=server.server.address) as pod,
            grpc.aio.insecure_channel(pod.address) as channel,
        ):
            for number in range(3):
                reply = await v1.PredictionServiceStub(channel).Predict(
                    v1.PredictRequest(objects=[item(float(number))]), timeout=30
                )
                assert reply.model.version == 1
                await asyncio.sleep(0.1)
    assert value(SAMPLES, window="long") is None
