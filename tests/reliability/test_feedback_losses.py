# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that was acknowledged is lost, nothing is kept twice: killed pods, killed databases, full disks."""

import asyncio
import collections
import contextlib
import os
import random
import time

import grpc
import pytest
import sqlalchemy as sa

from gateway.feedback.store.schema import votes
from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests import postgres
from tests.feedback_pod import Voters, pod_process
from tests.mounts import remount, small_disk
from tests.pods import running_feedback, running_front
from tests.votes import request, token

# `make test-feedback` asks for 60; the default keeps `make test-all` short.
KILLS = int(os.environ.get("ORRERY_TEST_KILLS", "10"))

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=postgres.STORES)
def database_url(request):
    """None for SQLite."""
    return request.getfixturevalue("cluster").fresh_url() if request.param == "postgresql" else None


def kept(pod):
    """Receipts by request, as they are on disk; requests that are there twice make it fail."""
    with pod.store() as store, store.database.reading() as connection:
        rows = connection.execute(sa.select(votes.c.request_id, votes.c.receipt_id, votes.c.counted, votes)).all()
    counts = collections.Counter(row.request_id for row in rows)
    first = collections.Counter((row.designation, row.question, row.pseudonym) for row in rows if row.counted)
    assert not [request_id for request_id, count in counts.items() if count > 1]
    assert not [subject for subject, count in first.items() if count > 1]
    return {row.request_id: row.receipt_id for row in rows}


def lost(voters, pod):
    """Acknowledged votes that are not there as acknowledged."""
    there = kept(pod)
    return [key for key, receipt in voters.receipts.items() if there.get(key) != receipt.receipt_id]


@pytest.mark.parametrize("kills", [2, pytest.param(KILLS, marks=pytest.mark.long)])
async def test_killed_at_random_moments_under_load(tmp_path, database_url, kills, record_property):
    moments = random.Random(8)  # noqa: S311  # moments, not secrets
    began = time.monotonic()
    with pod_process(tmp_path / "store", database_url=database_url) as pod:
        async with pod.channel() as channel:
            await pod.until_serving(channel)
            voters = Voters(channel)
            voting = asyncio.create_task(voters.keep_voting())
            for _ in range(kills):
                before = len(voters.receipts)
                await asyncio.sleep(moments.uniform(0.05, 0.6))
                async with asyncio.timeout(60):
                    while len(voters.receipts) == before:
                        await asyncio.sleep(0.001)
                await asyncio.to_thread(pod.kill)
                pod.start()
                await pod.until_serving(channel)
            voting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await voting
            assert await asyncio.to_thread(lost, voters, pod) == []
            # Whoever did not hear asks again: the same vote, not another one.
            in_doubt = len(voters.unacknowledged)
            async with asyncio.timeout(60):
                while voters.unacknowledged:
                    await voters.repeat()
            there = await asyncio.to_thread(kept, pod)
            assert there == {key: receipt.receipt_id for key, receipt in voters.receipts.items()}
    backend = "PostgreSQL" if database_url else "SQLite"
    record_property(
        "figures",
        f"{backend}: {kills} kills -9, {len(there)} votes acknowledged, {in_doubt} of them in doubt and repeated,"
        f" 0 lost, 0 twice, {len(there) / (time.monotonic() - began):.0f} votes/s with the restarts",
    )


@pytest.mark.long
async def test_votes_a_second(tmp_path, database_url, record_property):
    """No bound: a figure."""
    with pod_process(tmp_path / "store", database_url=database_url, ORRERY_FEEDBACK_LOG_LEVEL="INFO") as pod:
        async with pod.channel() as channel:
            await pod.until_serving(channel)
            voters = Voters(channel)
            began = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await voters.keep_voting(streams=64)
            elapsed_s = time.monotonic() - began
            assert len(voters.receipts) > 64
            assert await asyncio.to_thread(lost, voters, pod) == []
    backend = "PostgreSQL" if database_url else "SQLite"
    record_property("figures", f"{backend}: {len(voters.receipts) / elapsed_s:.0f} votes/s from 64 callers at once")


@postgres.NEEDED
async def test_postgresql_killed_and_started_again(tmp_path, cluster):
    with pod_process(tmp_path / "store", database_url=cluster.fresh_url()) as pod:
        async with pod.channel() as channel:
            await pod.until_serving(channel)
            voters = Voters(channel)
            voting = asyncio.create_task(voters.keep_voting())
            for _ in range(3):
                before = len(voters.receipts)
                async with asyncio.timeout(60):
                    while len(voters.receipts) < before + 50:
                        await asyncio.sleep(0.01)
                await asyncio.to_thread(cluster.kill)
                await pod.until_serving(channel, expected=2)
                refusal = await refusal_of(v1.FeedbackServiceStub(channel).SubmitClassification(request(), timeout=20))
                assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
                await asyncio.to_thread(cluster.start)
                await pod.until_serving(channel)
            voting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await voting
            assert await asyncio.to_thread(lost, voters, pod) == []
            async with asyncio.timeout(60):
                while voters.unacknowledged:
                    await voters.repeat()
            there = await asyncio.to_thread(kept, pod)
            assert there == {key: receipt.receipt_id for key, receipt in voters.receipts.items()}


async def refusal_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return InferenceError(refused.value)


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as folder:
        yield folder


async def test_a_full_disk_is_said_so_and_nothing_else_is_touched(disk):
    async with (
        running_feedback(folder=disk / "store") as pod,
        running_front(feedback_address=pod.address) as front,
        grpc.aio.insecure_channel(front.address) as channel,
    ):
        stub = v1.FeedbackServiceStub(channel)
        acknowledged, refusal = [], None
        for number in range(100_000):
            vote = request(f"2004 F{number}", by=token())
            try:
                acknowledged.append((vote, await stub.SubmitClassification(vote, timeout=20)))
            except grpc.aio.AioRpcError as error:
                refusal = InferenceError(error)
                break
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")
        assert refusal.retry_after_s == 60
        assert len(acknowledged) > 20
        # Predictions neither wait nor fail for it: the front reads them, and finds no model server in this test.
        predict = v1.PredictionServiceStub(channel).Predict(v1.PredictRequest(), timeout=20)
        assert (await refusal_of(predict)).reason == "INVALID_FIELD"
        # What is there can still be read, and many at once are all told.
        reply = await stub.GetConsensus(v1.GetConsensusRequest(designations=["2004 F0"]), timeout=20)
        assert reply.objects[0].questions[0].votes == 1
        more = await asyncio.gather(*(refusal_of(stub.SubmitClassification(vote_again(n))) for n in range(100)))
        assert {one.reason for one in more} == {"STORE_FULL"}
        # With room again it goes on, without a restart; repeated requests get their receipts, the refused one is new.
        remount(disk, "size=8m")
        for vote_before, reply_before in acknowledged[-5:]:
            assert await stub.SubmitClassification(vote_before, timeout=20) == reply_before
        assert (await stub.SubmitClassification(vote, timeout=20)).receipt.counted
        for number in range(20):
            assert (await stub.SubmitClassification(vote_again(number), timeout=20)).receipt.counted
        with_store = await stub.GetConsensus(v1.GetConsensusRequest(designations=["room again 0"]))
        assert with_store.objects[0].questions[0].votes == 1


def vote_again(number):
    return request(f"room again {number}", by=token())
