# SPDX-License-Identifier: GPL-3.0-or-later
"""A front whose backends are away, and one with some of them."""

import asyncio
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests.objects import eros
from tests.pods import PROJECT_ROOT, running_anomaly, running_front


async def refusal_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return InferenceError(raised.value)


async def status_of(channel, service):
    reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return reply.status


@pytest.mark.parametrize(
    ("stub", "method", "request_message", "backend"),
    [
        (v1.PredictionServiceStub, "Predict", v1.PredictRequest(objects=[eros()]), "model server"),
        (v1.AnomalyServiceStub, "ScoreAnomalies", v1.ScoreAnomaliesRequest(objects=[eros()]), "anomaly"),
        (v1.SimulationServiceStub, "ComputeMoid", v1.ComputeMoidRequest(objects=[eros()]), "simulation"),
    ],
)
async def test_a_backend_that_is_away_is_unavailable_within_the_deadline(stub, method, request_message, backend):
    async with running_front() as pod, grpc.aio.insecure_channel(pod.address) as channel:
        started = time.monotonic()
        refusal = await refusal_of(getattr(stub(channel), method)(request_message, timeout=5))
        assert time.monotonic() - started < 5
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert refusal.reason == "BACKEND_UNAVAILABLE"
    assert backend in refusal.message


async def test_the_others_keep_answering_and_health_follows_each_backend():
    async with (
        running_anomaly() as anomaly,
        running_front(anomaly_address=anomaly.address) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        async with asyncio.timeout(20):
            while await status_of(channel, "orrery.inference.v1.AnomalyService") != 1:
                await asyncio.sleep(0.05)
        anomalies = v1.AnomalyServiceStub(channel)
        scored = await anomalies.ScoreAnomalies(v1.ScoreAnomaliesRequest(objects=[eros()]), timeout=20)
        assert 0 < scored.scores[0].score < 1
        refusal = await refusal_of(
            v1.PredictionServiceStub(channel).Predict(v1.PredictRequest(objects=[eros()]), timeout=5)
        )
        assert refusal.code is grpc.StatusCode.UNAVAILABLE
        assert await status_of(channel, "orrery.inference.v1.PredictionService") == 2
        assert await status_of(channel, "") == 1


async def test_bad_input_is_refused_though_the_model_server_is_away():
    async with running_front() as pod, grpc.aio.insecure_channel(pod.address) as channel:
        refusal = await refusal_of(v1.PredictionServiceStub(channel).Predict(v1.PredictRequest()))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [v.path for v in refusal.violations] == ["objects"]


async def test_a_callers_request_id_comes_back():
    async with running_front() as pod, grpc.aio.insecure_channel(pod.address) as channel:
        call = v1.PredictionServiceStub(channel).Predict(v1.PredictRequest(), metadata=(("x-request-id", "mine-1"),))
        assert (await refusal_of(call)).request_id == "mine-1"


async def test_a_message_over_the_limit_is_refused_and_the_next_call_works():
    async with running_front() as pod, grpc.aio.insecure_channel(pod.address) as channel:
        predict = v1.PredictionServiceStub(channel).Predict
        huge = v1.PredictRequest(objects=[v1.NearEarthObject(designation="x" * (17 * 1024 * 1024))])
        assert (await refusal_of(predict(huge))).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await refusal_of(predict(v1.PredictRequest()))).code is grpc.StatusCode.INVALID_ARGUMENT


def test_the_front_imports_no_heavy_library():
    script = """
import sys
import gateway.front.app
heavy = {"tensorflow", "tensorflow_serving", "rebound", "assist", "onnxruntime", "sklearn", "scipy", "pandas"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=PROJECT_ROOT)
    assert shown.stdout.strip() == "[]"
