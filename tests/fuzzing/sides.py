# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of our server and our client, whatever their peers send."""

import asyncio
import contextlib
import logging
import sys

import grpc

from gateway.grpc_h2 import Channel, Server
from tests import raw_http2 as wire
from tests.fuzzing.exchanges import CHAT, COUNT, ECHO, GATHER, PLAIN, WAIT

MAX_MESSAGE_BYTES = 1024 * 1024
# For what needs milliseconds.
PATIENCE_S = 10
# For answers to a hostile connection, before it is closed.
READ_S = 0.02
# For a call whose server has stopped in the middle of a reply.
CALL_S = 0.3


class Troubles(logging.Handler):
    """All that nobody expects: errors in the log, exceptions in callbacks and in tasks that nobody awaits."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.seen = []

    def emit(self, record):
        self.seen.append(self.format(record))

    def watch(self, loop):
        """Listen to the log, the loop and the interpreter."""
        logging.getLogger().addHandler(self)
        loop.set_exception_handler(lambda _loop, context: self.seen.append(f"{context['message']}: {context!r}"))
        sys.unraisablehook = lambda unraisable: self.seen.append(f"{unraisable.err_msg}: {unraisable.exc_value!r}")

    def check(self):
        """Fail for what was seen since the last time."""
        seen, self.seen = self.seen, []
        assert not seen, "\n".join(seen)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self):
        self._methods = {
            ECHO: grpc.unary_unary_rpc_method_handler(self._echo),
            WAIT: grpc.unary_unary_rpc_method_handler(self._wait),
            COUNT: grpc.unary_stream_rpc_method_handler(self._count),
            GATHER: grpc.stream_unary_rpc_method_handler(self._gather),
            CHAT: grpc.stream_stream_rpc_method_handler(self._chat),
        }

    def service(self, handler_call_details):
        return self._methods.get(handler_call_details.method)

    async def _echo(self, request, _context):
        return request

    async def _wait(self, _request, _context):
        await asyncio.Event().wait()

    async def _count(self, _request, _context):
        for number in range(20):
            yield bytes([number]) * 10_000

    async def _gather(self, requests, _context):
        return b"%d" % sum([len(request) async for request in requests])

    async def _chat(self, requests, context):
        await context.send_initial_metadata((("x-first", "1"),))
        async for request in requests:
            yield request


async def _until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def _write(writer, hostile):
    """All pieces, unless the peer hangs up."""
    with contextlib.suppress(ConnectionError):
        for piece in hostile.pieces():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


class ServerSide:
    """Our server, hostile clients, and a bystander."""

    async def __aenter__(self):
        self._server = Server(max_message_bytes=MAX_MESSAGE_BYTES, max_streams=20, max_calls=50)
        self._server.add_generic_rpc_handlers((_Handlers(),))
        port = self._server.bind("127.0.0.1", 0)
        await self._server.start()
        self._port = port
        self._bystander = Channel(f"127.0.0.1:{port}", max_message_bytes=MAX_MESSAGE_BYTES)
        await self._ask()
        return self

    async def __aexit__(self, *_):
        await self._bystander.close()
        await self._server.stop(0)

    async def check(self, hostiles):
        """The bystander gets its answers meanwhile and afterwards, and nothing is left of the hostile connections."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(self._ask(), *map(self._attack, hostiles))
            await self._ask()
        server = self._server
        await _until(lambda: len(server.connections) == 1)
        await _until(lambda: not server._tasks)
        assert (server.served, server.tally.under_way) == (0, 0)

    async def _ask(self):
        assert await self._bystander.unary_unary(ECHO)(b"fine", timeout=PATIENCE_S) == b"fine"

    async def _attack(self, hostile):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(wire.PREFACE)
            await _write(writer, hostile)
            if not hostile.closes:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(READ_S):
                        while await reader.read(65536):
                            pass
        finally:
            writer.transport.abort()
            # Python reports an end that nobody asked for, if it finds the connection within a cycle.
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class ClientSide:
    """Our client, and hostile servers."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def check(self, hostiles):
        """Each call ends, with a reply or an error of gRPC, and nothing is left of its channel."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(self._meet(hostile) for hostile in hostiles))

    async def _meet(self, hostile):
        async def script(reader, writer):
            await wire.asked(reader)
            await _write(writer, hostile)
            if not hostile.closes:
                await asyncio.sleep(PATIENCE_S)

        async with wire.raw_server(script, greet=True) as port:
            channel = Channel(f"127.0.0.1:{port}", max_message_bytes=MAX_MESSAGE_BYTES)
            calls = self._unary(channel), self._streaming(channel)
            try:
                await asyncio.gather(*calls)
            finally:
                await channel.close()
            await _until(lambda: not channel.connections)
            assert channel.tally.under_way == 0

    async def _unary(self, channel):
        with contextlib.suppress(grpc.aio.AioRpcError):
            assert isinstance(await channel.unary_unary(ECHO)(PLAIN, timeout=CALL_S), bytes)

    async def _streaming(self, channel):
        async def requests():
            for _ in range(3):
                yield PLAIN

        with contextlib.suppress(grpc.aio.AioRpcError):
            async for reply in channel.stream_stream(CHAT)(requests(), timeout=CALL_S):
                assert isinstance(reply, bytes)
