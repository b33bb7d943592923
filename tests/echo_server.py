# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers, ours and gRPC's own, whose handlers do a little of everything, and count it."""

import asyncio
import contextlib
from collections import Counter

import grpc
import pytest

from gateway.grpc_h2 import Server

ECHO, WAIT, COUNT, CHAT, GATHER, FAIL, TALK, BY_HAND = (
    f"/test.Test/{name}" for name in ("Echo", "Wait", "Count", "Chat", "Gather", "Fail", "Talk", "ByHand")
)


class Handlers(grpc.GenericRpcHandler):
    """What the server here can do; and what happened."""

    def __init__(self):
        self.happened = Counter()
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.time_left_s = None
        self._methods = {
            ECHO: grpc.unary_unary_rpc_method_handler(self.echo),
            WAIT: grpc.unary_unary_rpc_method_handler(self.wait),
            FAIL: grpc.unary_unary_rpc_method_handler(self.fail),
            COUNT: grpc.unary_stream_rpc_method_handler(self.count),
            TALK: grpc.unary_stream_rpc_method_handler(self.talk),
            GATHER: grpc.stream_unary_rpc_method_handler(self.gather),
            CHAT: grpc.stream_stream_rpc_method_handler(self.chat),
            BY_HAND: grpc.stream_stream_rpc_method_handler(self.by_hand),
        }

    def service(self, handler_call_details):
        return self._methods.get(handler_call_details.method)

    async def echo(self, request, context):
        said = dict(context.invocation_metadata())
        context.set_trailing_metadata(tuple((key, said[key]) for key in ("x-text", "x-bytes-bin") if key in said))
        return request

    async def wait(self, request, context):
        self.began.set()
        self.happened["waiting"] += 1
        self.time_left_s = context.time_remaining()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.happened["cancelled"] += 1
            raise
        return request

    async def fail(self, request, context):
        if request == b"metadata":
            context.set_trailing_metadata((("x-odd", "\u2609"),))
            return b""
        if request:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, request.decode(), (("x-why-bin", b"\x00\xff"),))
        raise KeyError("secret")

    async def count(self, request, _context):
        for number in range(int(request)):
            self.happened["sent"] += 1
            yield b"%d" % number * 10_000

    async def talk(self, request, context):
        for number in range(int(request)):
            await context.write(b"%d" % number)

    async def gather(self, requests, _context):
        self.happened["gathering"] += 1
        await self.go.wait()
        return b",".join([request async for request in requests])

    async def chat(self, requests, _context):
        async for request in requests:
            yield request * 2

    async def by_hand(self, _requests, context):
        context.add_done_callback(lambda _: self.happened.update(["done"]))
        await context.send_initial_metadata((("x-first", "1"),))
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(request)
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("no more")


@contextlib.asynccontextmanager
async def serving(handlers=None, *, port=0, tls=None, **settings):
    """A server of ours: (port, handlers, server)."""
    chosen = {
        "max_message_bytes": 16 * 1024 * 1024,
        "max_streams": 1_000,
        **settings,
    }
    server, handlers = Server(**chosen), handlers or Handlers()
    server.add_generic_rpc_handlers((handlers,))
    port = server.bind("127.0.0.1", port, tls)
    await server.start()
    try:
        yield port, handlers, server
    finally:
        await server.stop(0.1)


@contextlib.asynccontextmanager
async def serving_by_grpc(
    handlers=None, *, address="127.0.0.1:0", max_message_bytes=16 * 1024 * 1024, max_streams=1_000, bdp_probe=True
):
    """A server of grpc.aio: (port, handlers, server). With its probe, what it takes unread follows the round trip."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.max_concurrent_streams", max_streams),
            ("grpc.http2.bdp_probe", int(bdp_probe)),
        ]
    )
    handlers = handlers or Handlers()
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield port, handlers, server
    finally:
        await server.stop(0.1)


async def status_of(call):
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def until(condition, *, within_s=10):
    """Wait for what nobody announces."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
