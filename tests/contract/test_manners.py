# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers who ask too much, or nonsense, are told."""

import asyncio
import hashlib
import secrets

import grpc
import pytest

from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests.objects import eros
from tests.pods import running_anomaly, running_front
from tests.small_pod import running_broken

pytestmark = pytest.mark.transport

GREEDY, MODEST = secrets.token_hex(32), secrets.token_hex(32)
CALLERS = ";".join(
    f"{name} reader,simulator sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    for name, token in (("greedy", GREEDY), ("modest", MODEST))
)
ONE = v1.ScoreAnomaliesRequest(objects=[eros()])


async def refusal_of(call):
    """None where the call is answered."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return InferenceError(error)
    return None


def bearing(token):
    return {"metadata": (("authorization", f"Bearer {token}"),), "timeout": 20}


async def until_serving(channel, token):
    score = v1.AnomalyServiceStub(channel).ScoreAnomalies
    async with asyncio.timeout(30):
        while (refusal := await refusal_of(score(ONE, **bearing(token)))) is not None:
            assert refusal.code is not grpc.StatusCode.UNAUTHENTICATED
            await asyncio.sleep(0.1)


async def test_a_greedy_caller_is_told_when_to_come_back_and_others_are_answered():
    quota = {"quota_objects_per_s": 20, "quota_burst_objects": 20}
    async with (
        running_anomaly() as anomaly,
        running_front(anomaly_address=anomaly.address, callers=CALLERS, **quota) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        await until_serving(channel, MODEST)
        score = v1.AnomalyServiceStub(channel).ScoreAnomalies
        refusals = await asyncio.gather(*(refusal_of(score(ONE, **bearing(GREEDY))) for _ in range(200)))
        refused = [refusal for refusal in refusals if refusal is not None]
        assert len(refusals) - len(refused) >= 10
        assert len(refused) >= 100
        assert {(refusal.code, refusal.reason) for refusal in refused} == {
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        }
        assert all(0 < refusal.retry_after_s <= 1.1 for refusal in refused)
        assert await refusal_of(score(ONE, **bearing(MODEST))) is None
        await asyncio.sleep(max(refusal.retry_after_s for refusal in refused))
        assert await refusal_of(score(ONE, **bearing(GREEDY))) is None


async def test_many_objects_cost_more_and_a_simulation_costs_what_settings_say():
    quota = {"quota_objects_per_s": 0.001, "quota_burst_objects": 150, "quota_simulation_objects": 100}
    async with running_front(**quota) as pod, grpc.aio.insecure_channel(pod.address) as channel:
        simulate = v1.SimulationServiceStub(channel).Simulate
        assert (await refusal_of(simulate(v1.SimulateRequest(), timeout=20))).reason == "BACKEND_UNAVAILABLE"
        assert (await refusal_of(simulate(v1.SimulateRequest(), timeout=20))).reason == "QUOTA_EXCEEDED"
        predict = v1.PredictionServiceStub(channel).Predict
        assert (await refusal_of(predict(v1.PredictRequest(), timeout=20))).reason == "INVALID_FIELD"
        hundred = v1.PredictRequest(objects=[eros()] * 100)
        assert (await refusal_of(predict(hundred, timeout=20))).reason == "QUOTA_EXCEEDED"


@pytest.mark.parametrize("method", ["Predict", "PredictColumns"])
async def test_bytes_that_are_no_message_are_an_invalid_argument(method):
    async with running_front() as pod, grpc.aio.insecure_channel(pod.address) as channel:
        call = channel.unary_unary(f"/orrery.inference.v1.PredictionService/{method}")
        refusal = await refusal_of(call(b"\xff\xff\xff", timeout=20))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


async def test_a_stream_waits_for_its_callers_quota():
    quota = {"quota_objects_per_s": 0.001, "quota_burst_objects": 5}
    async with (
        running_broken() as behind,
        running_front(anomaly_address=behind.address, **quota) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        messages = iter([v1.ScoreAnomalyColumnsRequest()] * 30)
        call = v1.AnomalyServiceStub(channel).StreamScoreAnomalies(messages, timeout=3)
        replies = []

        async def read():
            async for reply in call:
                replies.append(reply)  # noqa: PERF401  # what came before the error counts

        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await read()
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # The bucket's five objects: one for the stream itself, one for each message.
    assert len(replies) == 4
