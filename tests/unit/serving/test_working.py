# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on threads: begun in its turn, if its turn comes in time."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from gateway.grpc_h2 import Channel, Server
from gateway.serving.interceptor import CallInterceptor
from gateway.serving.working import run_in_time
from orrery.inference import InferenceError

METHOD = "/test.Test/Work"


class Bench:
    """One thread; what was begun on it, and whether it may go on."""

    def __init__(self):
        self.thread = ThreadPoolExecutor(1)
        self.begun = []
        self.working = threading.Event()
        self.go = threading.Event()

    async def work(self, request, context):
        return await run_in_time(self.thread, context, self._work, request)

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
        bench.thread.shutdown()


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
