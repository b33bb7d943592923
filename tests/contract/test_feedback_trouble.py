# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks feedback pods: crowds, locks, races, clocks that go back; and what never shows: who contributed."""

import asyncio
import collections
import contextlib
import io
import itertools
import os
import secrets
import sqlite3
import stat
import subprocess

import grpc
import pytest
import structlog

from gateway.feedback import clock
from gateway.feedback.store.database import FILE_NAME
from gateway.serving import logs
from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests import postgres
from tests.mounts import remount, small_disk
from tests.observing import collecting_traces, metrics_of
from tests.pods import running_feedback, running_front
from tests.votes import request, submit, token


@pytest.fixture(params=postgres.STORES)
def where(request, tmp_path):
    """Settings of an empty store."""
    chosen = {"folder": tmp_path / "store", "secret": secrets.token_hex(32)}
    if request.param == "postgresql":
        chosen["database_url"] = request.getfixturevalue("cluster").fresh_url()
    return chosen


@contextlib.asynccontextmanager
async def stub_of(pod):
    async with grpc.aio.insecure_channel(pod.address) as channel:
        yield v1.FeedbackServiceStub(channel)


@contextlib.asynccontextmanager
async def two_pods(where):
    """Stubs of two pods that share a store."""
    async with (
        running_feedback(**where) as pod,
        running_feedback(**where) as other,
        stub_of(pod) as stub,
        stub_of(other) as another,
    ):
        yield stub, another


async def refusal_of(call):
    """None where the call is answered."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return InferenceError(error)
    return None


async def until_kept(stub):
    async with asyncio.timeout(30):
        while await refusal_of(stub.SubmitClassification(request(by=token()), timeout=20)) is not None:
            await asyncio.sleep(0.05)


async def record_of(stub, designation="2004 FH"):
    reply = await stub.GetConsensus(v1.GetConsensusRequest(designations=[designation]), timeout=20)
    return reply.objects[0].questions[0] if reply.objects[0].questions else None


async def test_a_thousand_at_once_are_kept_once_each(where):
    votes = [request(f"2004 F{number % 10}", by=token()) for number in range(1_000)]
    async with running_feedback(**where) as pod, stub_of(pod) as stub:
        replies = await asyncio.gather(*(submit(stub, vote) for vote in votes))
        assert all(reply.receipt.counted for reply in replies)
        again = await asyncio.gather(*(submit(stub, vote) for vote in votes))
        assert again == replies
        assert len({reply.receipt.receipt_id for reply in replies}) == 1_000


async def test_one_contributor_at_once_from_everywhere_counts_once(where):
    one = token()
    async with two_pods(where) as (stub, another):
        calls = [submit(which, request(by=one)) for which in itertools.islice(itertools.cycle((stub, another)), 200)]
        replies = await asyncio.gather(*calls)
        assert [reply.receipt.counted for reply in replies].count(True) == 1
        assert (await record_of(stub)).votes == 1


async def test_the_same_request_at_two_pods_is_one_vote(where):
    votes = [request(f"2004 F{number}", by=token()) for number in range(100)]
    async with two_pods(where) as (stub, another):
        first, second = await asyncio.gather(
            asyncio.gather(*(submit(stub, vote) for vote in votes)),
            asyncio.gather(*(submit(another, vote) for vote in votes)),
        )
    assert first == second


async def test_erasing_while_votes_come_in_leaves_no_orphans(where):
    one = token()
    async with two_pods(where) as (stub, another):
        votes = [submit(stub, request(f"2004 F{number}", by=one)) for number in range(200)]
        erasures = [
            another.EraseContributor(
                v1.EraseContributorRequest(request_id=f"e{number}", contributor_token=one), timeout=60
            )
            for number in range(20)
        ]
        mixed = [*votes, *erasures]
        replies = await asyncio.gather(*(mixed[::2] + mixed[1::2]))
        erased = sum(reply.erased_votes for reply in replies if isinstance(reply, v1.EraseContributorResponse))
        parts = [part async for part in stub.ExportContributor(v1.ExportContributorRequest(contributor_token=one))]
        assert erased + parts[0].contributor.votes == 200
        last = await stub.EraseContributor(v1.EraseContributorRequest(request_id="last", contributor_token=one))
        assert last.erased_votes == parts[0].contributor.votes
        consensus = await stub.GetConsensus(
            v1.GetConsensusRequest(designations=[f"2004 F{number}" for number in range(100)])
        )
        assert not [found for found in consensus.objects if found.questions]


async def test_a_database_locked_by_another_process_is_waited_for_then_said_so(tmp_path):
    settings = {"folder": tmp_path, "lock_timeout_s": 0.3}
    async with running_feedback(**settings) as pod, stub_of(pod) as stub:
        await stub.SubmitClassification(request(by=token()))
        holder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        refusal = await refusal_of(stub.SubmitClassification(request(by=token()), timeout=20))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
        assert (await record_of(stub)).votes == 1
        holder.execute("ROLLBACK")
        holder.close()
        assert await refusal_of(stub.SubmitClassification(request(by=token()), timeout=20)) is None


async def test_a_read_only_file_system_is_said_so(tmp_path):
    with small_disk(tmp_path / "disk", "8m") as folder:
        async with running_feedback(folder=folder) as pod, stub_of(pod) as stub:
            await stub.SubmitClassification(request(by=token()))
        remount(folder, "ro")
        async with running_feedback(folder=folder) as pod, stub_of(pod) as stub:
            refusal = await refusal_of(stub.SubmitClassification(request(by=token()), timeout=20))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
            remount(folder, "rw")
            await until_kept(stub)
            assert (await record_of(stub)).votes == 2


async def test_a_clock_that_goes_back_changes_no_order(where, monkeypatch):
    times = itertools.count(10**15, -(10**12))
    monkeypatch.setattr(clock.time, "time_ns", lambda: next(times) * 1_000)
    one = token()
    async with running_feedback(**where) as pod, stub_of(pod) as stub:
        first = await stub.SubmitClassification(request(label="DATA_ERROR", by=one))
        second = await stub.SubmitClassification(request(label="DATA_PLAUSIBLE", by=one))
        assert second.receipt.received_time.seconds < first.receipt.received_time.seconds
        assert [share.label for share in (await record_of(stub)).shares] == [v1.CLASSIFICATION_LABEL_DATA_ERROR]


async def test_more_than_may_wait_is_refused_at_once_with_a_time_to_come_back(tmp_path):
    async with running_feedback(folder=tmp_path, max_waiting=1, lock_timeout_s=0.3) as pod, stub_of(pod) as stub:
        await stub.SubmitClassification(request(by=token()))
        holder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        refusals = await asyncio.gather(
            *(refusal_of(stub.SubmitClassification(request(by=token()), timeout=20)) for _ in range(50))
        )
        holder.close()
    reasons = collections.Counter(refusal.reason for refusal in refusals)
    assert reasons.keys() == {"OVERLOADED", "BACKEND_UNAVAILABLE"}
    assert all(refusal.retry_after_s == 1.0 for refusal in refusals if refusal.reason == "OVERLOADED")


@postgres.NEEDED
async def test_a_store_that_is_away_at_the_start_is_opened_when_it_is_there(tmp_path, cluster):
    url = cluster.fresh_url()
    name = url.split("/")[3].partition("?")[0]
    cluster.sql(f"DROP DATABASE {name}")
    settings = {"folder": tmp_path, "database_url": url, "secret": secrets.token_hex(32)}
    async with running_feedback(**settings) as pod, stub_of(pod) as stub:
        refusal = await refusal_of(stub.SubmitClassification(request(by=token()), timeout=20))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
        cluster.sql(f"CREATE DATABASE {name}")
        await until_kept(stub)
        assert (await record_of(stub)).votes == 1


async def test_files_are_their_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        async with running_feedback(folder=tmp_path) as pod, stub_of(pod) as stub:
            await stub.SubmitClassification(request(by=token()))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys((FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "secret"), 0o600)


def dump_of(url):
    return subprocess.run([postgres.binary("pg_dump"), "--inserts", url], check=True, capture_output=True).stdout


async def test_who_contributed_shows_nowhere(where, tmp_path):
    """A planted token, through every path and every error: not in logs, metrics, traces, nor in what is on disk."""
    planted = "planted-contributor-5c9a1e"
    log = io.StringIO()
    structlog.configure(
        processors=[
            logs.name_call,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(log),
    )
    said = []
    try:
        with collecting_traces() as collector:
            tracing = {"tracing_endpoint": collector.endpoint}
            async with (
                running_feedback(**where, **tracing, lock_timeout_s=0.3) as pod,
                running_front(feedback_address=pod.address, **tracing) as front,
                stub_of(front) as stub,
            ):
                vote = request(by=planted)
                await stub.SubmitClassification(vote)
                await stub.SubmitClassification(vote)
                await stub.SubmitClassification(request(by=planted))
                for change in (
                    {"designation": "2004 FI"},
                    {"label": 0},
                    {"designation": planted + "\0"},
                    {"contributor_token": f"{planted} {planted}"},
                    {"contributor_token": planted * 20},
                ):
                    wrong = v1.SubmitClassificationRequest()
                    wrong.CopyFrom(vote)
                    for field, value in change.items():
                        setattr(wrong, field, value)
                    refusal = await refusal_of(stub.SubmitClassification(wrong))
                    assert refusal.reason in {"INVALID_FIELD", "REQUEST_ID_REUSED"}
                    said.append(str(refusal))
                    said += [violation.description for violation in refusal.violations]
                export = v1.ExportContributorRequest(contributor_token=planted)
                said += [str(part) async for part in stub.ExportContributor(export)]
                await stub.EraseContributor(v1.EraseContributorRequest(request_id="e", contributor_token=planted))
                # A fault of our own, whose words quote the token.
                await stub.SubmitClassification(request(by=planted))
                shown = await metrics_of(pod) + await metrics_of(front)
    finally:
        structlog.reset_defaults()
    assert "SubmitClassification" in log.getvalue()
    assert "orrery_feedback_votes_total" in shown
    assert b"SubmitClassification" in collector.raw
    for text in (log.getvalue(), shown, *said):
        assert planted not in text
    assert planted.encode() not in collector.raw
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or planted.encode() not in path.read_bytes()
    if url := where.get("database_url"):
        dump = await asyncio.to_thread(dump_of, url)
        assert b"INSERT INTO public.votes" in dump
        assert planted.encode() not in dump
