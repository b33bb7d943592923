# SPDX-License-Identifier: GPL-3.0-or-later
"""Too many calls at once: what each of them is told. How many are answered is measured by `make overload`."""

import asyncio

import grpc
import pytest

from bench import overload
from orrery.inference import InferenceError, v1
from tests.small_pod import running_broken


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


async def test_a_refused_call_takes_no_room_and_what_ends_gives_it_back():
    one = v1.ScoreAnomalyColumnsRequest()
    async with (
        running_broken(calls_under_way=2) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        stub = v1.AnomalyServiceStub(channel)
        streams = [stub.StreamScoreAnomalies(timeout=30) for _ in range(2)]
        for stream in streams:
            await stream.write(one)
            await stream.read()
        refusals = await asyncio.gather(
            *(stub.ScoreAnomalyColumns(one, timeout=10) for _ in range(20)), return_exceptions=True
        )
        for refusal in map(InferenceError, refusals):
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert 0.5 <= refusal.retry_after_s <= 1.5
        await streams[0].done_writing()
        assert await streams[0].read() is grpc.aio.EOF
        await stub.ScoreAnomalyColumns(one, timeout=10)
        streams[1].cancel()
        async with asyncio.timeout(10):
            while True:
                replies = await asyncio.gather(
                    *(stub.ScoreAnomalyColumns(one, timeout=10) for _ in range(2)), return_exceptions=True
                )
                if not any(isinstance(reply, grpc.aio.AioRpcError) for reply in replies):
                    break
