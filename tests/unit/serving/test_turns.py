# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on threads in turns: begun if its turn comes in time, and interrupted for others."""

import asyncio
import contextlib
import threading
import time

import grpc
import pytest

from gateway.grpc_h2 import Channel, Server
from gateway.serving.interceptor import CallInterceptor
from gateway.serving.turns import Turns, at_once, by_blocks, complete
from orrery.inference import InferenceError

METHOD = "/test.Test/Work"


class Bench:
    """One thread; what was begun on it, and whether it may go on."""

    def __init__(self):
        self.turns = Turns(1, name="bench")
        self.begun = []
        self.working = threading.Event()
        self.go = threading.Event()

    async def work(self, request, context):
        return await self.turns.call(self._work, request, timeout_s=context.time_remaining())

    def _work(self, request):
        self.begun.append(request)
        self.working.set()
        self.go.wait(20)
        return request


@contextlib.asynccontextmanager
async def calling():
    bench = Bench()
    server = Server(choose=CallInterceptor().choose, max_message_bytes=1 << 20, max_streams=100)
    server.add_registered_method_handlers("test.Test", {"Work": grpc.unary_unary_rpc_method_handler(bench.work)})
    port = server.bind("127.0.0.1", 0)
    await server.start()
    try:
        async with Channel(f"127.0.0.1:{port}", max_message_bytes=1 << 20) as channel:
            yield channel.unary_unary(METHOD), bench
    finally:
        bench.go.set()
        await server.stop(1.0)
        with bench.turns:
            pass


async def test_who_has_waited_for_half_of_his_time_is_told_when_to_come_back():
    async with calling() as (ask, bench):
        first = asyncio.ensure_future(ask(b"first", timeout=30))
        await asyncio.to_thread(bench.working.wait, 20)
        in_a_hurry = asyncio.ensure_future(ask(b"in a hurry", timeout=4))
        patient = asyncio.ensure_future(ask(b"patient", timeout=60))
        endless = asyncio.ensure_future(ask(b"endless"))
        await asyncio.sleep(2.2)
        bench.go.set()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await in_a_hurry
        refusal = InferenceError(raised.value)
        assert refusal.reason == "OVERLOADED"
        assert refusal.retry_after_s > 0
        assert await asyncio.gather(first, patient, endless) == [b"first", b"patient", b"endless"]
        assert bench.begun == [b"first", b"patient", b"endless"]


async def test_who_has_gone_is_left_out():
    async with calling() as (ask, bench):
        first = asyncio.ensure_future(ask(b"first", timeout=30))
        await asyncio.to_thread(bench.working.wait, 20)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(b"second", timeout=0.2)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        bench.go.set()
        assert await first == b"first"
        assert await ask(b"third", timeout=30) == b"third"
        assert bench.begun == [b"first", b"third"]


def spin(seconds):
    """Use the processor for so long."""
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:
        pass


def endless(done):
    """Pieces of 2 ms until told."""
    while not done.is_set():
        spin(0.002)
        yield
    return "long"


@pytest.mark.parametrize("callers", [("same", "same", "same"), ("one", "other", "third")])
async def test_little_work_goes_between_the_pieces_of_much(callers):
    """With as much of it as there are threads and more, it would wait for ever else."""
    done = threading.Event()
    with Turns(2, name="test") as turns:
        long = [asyncio.create_task(turns.run(endless(done), caller=caller)) for caller in callers]
        await asyncio.sleep(0.2)
        for _ in range(10):
            assert await asyncio.wait_for(turns.call(lambda: "short", caller=callers[0]), timeout=20) == "short"
        assert not any(task.done() for task in long)
        done.set()
        assert await asyncio.gather(*long) == ["long"] * 3


async def test_work_whose_caller_has_gone_is_left_where_it_is():
    begun, pieces = threading.Event(), []

    def counted():
        while True:
            begun.set()
            spin(0.002)
            pieces.append(1)
            yield

    with Turns(1, name="test") as turns:
        task = asyncio.create_task(turns.run(counted()))
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await turns.call(lambda: "next") == "next"
        seen = len(pieces)
        assert await turns.call(lambda: "next") == "next"
        assert len(pieces) == seen
        assert not turns._queue._within


async def test_what_work_raises_is_raised_where_it_is_waited_for():
    def fail():
        raise KeyError("work")

    with Turns(1, name="test") as turns:
        with pytest.raises(KeyError):
            await turns.call(fail)
        with pytest.raises(KeyError):
            await turns.run_all([at_once(fail), at_once(str)])
        assert await turns.run_all([at_once(int), at_once(str)]) == [0, ""]


def test_blocks_cover_all_rows_once_and_shrink_where_rows_cost_much():
    seen = []
    complete(by_blocks(1_000, lambda rows: seen.extend(range(1_000)[rows])))
    assert seen == list(range(1_000))
    sizes = []

    def dear(rows):
        sizes.append(len(range(100)[rows]))
        spin(0.001 * sizes[-1])

    complete(by_blocks(100, dear))
    assert sum(sizes) == 100
    assert max(sizes[1:]) <= 10
    assert list(by_blocks(0, dear)) == []
