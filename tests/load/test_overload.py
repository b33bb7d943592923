# SPDX-License-Identifier: GPL-3.0-or-later
"""Too many calls at once: what each of them is told. How many are answered is measured by `make overload`."""

import asyncio

import grpc
import pytest

from bench import overload
from orrery.inference import InferenceError, v1
from tests.small_pod import Broken, running_broken


@pytest.mark.parametrize("connections", [pytest.param(4, marks=pytest.mark.long), 16])
async def test_every_call_is_answered_or_refused_in_words(connections):
    async with overload.pod(calls_under_way="8") as address:
        outcome = await overload.offer(
            address, overload.request(100), rate_per_s=600, connections=connections, seconds=2.0, deadline_s=20.0
        )
    assert set(outcome.ended) <= {"OK", "OVERLOADED"}
    assert outcome.ended["OK"] > 8
    assert outcome.ended["OVERLOADED"] > 0
    assert outcome.told_when == outcome.ended["OVERLOADED"]


async def test_a_refused_call_takes_no_place_and_what_ends_gives_it_back():
    one = v1.ScoreAnomalyColumnsRequest()
    servicer = Broken()
    servicer.go.clear()
    async with (
        running_broken(servicer, calls_under_way=2) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        stub = v1.AnomalyServiceStub(channel)
        # Streams hold places only while a message of theirs is unanswered.
        streams = [stub.StreamScoreAnomalies(timeout=30) for _ in range(2)]
        for stream in streams:
            await stream.write(one)
        async with asyncio.timeout(10):
            while not isinstance(await outcome_of(stub.ScoreAnomalyColumns(one, timeout=10)), InferenceError):
                pass
        for refusal in await asyncio.gather(
            *(outcome_of(stub.ScoreAnomalyColumns(one, timeout=10)) for _ in range(20))
        ):
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert 0.5 <= refusal.retry_after_s <= 1.5
        streams[0].cancel()
        async with asyncio.timeout(10):
            while isinstance(await outcome_of(stub.ScoreAnomalyColumns(one, timeout=10)), InferenceError):
                pass


async def test_a_stream_that_waits_for_its_caller_holds_no_place():
    one = v1.ScoreAnomalyColumnsRequest()
    async with (
        running_broken(calls_under_way=2) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        stub = v1.AnomalyServiceStub(channel)
        streams = [stub.StreamScoreAnomalies(timeout=30) for _ in range(10)]
        for stream in streams:
            await stream.write(one)
            await stream.read()
        await stub.ScoreAnomalyColumns(one, timeout=10)
        # All of them go on, two at a time.
        for stream in streams:
            await stream.write(one)
        for stream in streams:
            assert await stream.read() == v1.ScoreAnomalyColumnsResponse()


async def test_a_stream_that_nobody_reads_holds_no_place():
    columns = v1.ScoreAnomalyColumnsResponse(score=[0.5] * 10_000)

    class Wide(Broken):
        async def StreamScoreAnomalies(self, request_iterator, _context):  # noqa: N802  # the contract's name
            async for _ in request_iterator:
                for _ in range(100):
                    yield columns

    async with (
        running_broken(Wide(), calls_under_way=2) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
        grpc.aio.insecure_channel(pod.address, options=[("grpc.use_local_subchannel_pool", 1)]) as other,
    ):
        streams = [v1.AnomalyServiceStub(channel).StreamScoreAnomalies(timeout=30) for _ in range(10)]
        for stream in streams:
            await stream.write(v1.ScoreAnomalyColumnsRequest())
        for stream in streams:
            await stream.read()
        for _ in range(10):
            await v1.AnomalyServiceStub(other).ScoreAnomalyColumns(v1.ScoreAnomalyColumnsRequest(), timeout=10)


async def outcome_of(call):
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        return InferenceError(error)
