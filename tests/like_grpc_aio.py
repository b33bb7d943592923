# SPDX-License-Identifier: GPL-3.0-or-later
"""A case is played by our client or server and grpc.aio's; what is observed is compared with grpc.aio on both sides."""

import asyncio
import contextlib
import functools
from pathlib import Path

import grpc
import pytest

from gateway.grpc_h2 import Channel, Server

README = Path(__file__).parents[1] / "gateway" / "grpc_h2" / "README.md"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
PAIRS = (("ours", "grpc"), ("grpc", "ours"), ("ours", "ours"))
MOST = 4 * 1024 * 1024
_LIMITS = [("grpc.max_receive_message_length", MOST), ("grpc.max_send_message_length", MOST)]
_BASELINES = {}


class Stage(grpc.GenericRpcHandler):
    """A server and a channel to it; a case sets handlers, makes calls, and notes what happens.

    Attributes:
        channel: of the client's side.
        port: of the server.
        events: what the case noted, in order.
    """

    def __init__(self):
        self.channel = self.port = None
        self.events = []
        self._handlers = {}

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method)

    def __getattr__(self, kind):
        """`stage.unary_unary(handler)`: a multi-callable of a method that the handler serves."""
        if kind not in KINDS:
            raise AttributeError(kind)
        return functools.partial(self._serve, kind)

    def _serve(self, kind, handler, serializer=None, deserializer=None, *, reads=None, writes=None):
        path = f"/test.Like/{kind}{len(self._handlers)}"
        self._handlers[path] = getattr(grpc, f"{kind}_rpc_method_handler")(handler, reads, writes)
        return getattr(self.channel, kind)(path, serializer, deserializer)

    def note(self, *event):
        self.events.append(event if len(event) > 1 else event[0])

    async def noted(self, number):
        """Wait for so many events: a handler may go on when its caller has the status already."""
        while len(self.events) < number:
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _serving(stage, kind):
    if kind == "ours":
        server = Server(max_message_bytes=MOST, max_streams=100)
        server.add_generic_rpc_handlers([stage])
        stage.port = server.bind("127.0.0.1", 0)
    else:
        server = grpc.aio.server(options=_LIMITS)
        server.add_generic_rpc_handlers([stage])
        stage.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def channel_to(kind, port):
    """A channel of ours, or grpc.aio's."""
    if kind == "ours":
        return Channel(f"127.0.0.1:{port}", max_message_bytes=MOST)
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1), *_LIMITS])


async def observation(case, client, server):
    """What a case observes, with a client and a server of these kinds."""
    stage = Stage()
    async with asyncio.timeout(20), _serving(stage, server), channel_to(client, stage.port) as stage.channel:
        returned = await case(stage)
        return [*stage.events, returned]


class Cases(list):
    """Cases of one module. Where one differs on purpose: for the side that is ours, the row and what is observed."""

    def __call__(self, case=None, **differs):
        if case is None:
            return functools.partial(self.add, differs=differs)
        return self.add(case, {})

    def add(self, case, differs):
        self.append((case, differs))
        return case

    def test(self):
        """The test of all of them."""
        params = [
            pytest.param(case, differs, *pair, id=f"{case.__name__}-{pair[0]} client-{pair[1]} server")
            for case, differs in self
            for pair in PAIRS
        ]

        @pytest.mark.parametrize(("case", "differs", "client", "server"), params)
        async def test_like_grpc_aio(case, differs, client, server):
            if case not in _BASELINES:
                _BASELINES[case] = await observation(case, "grpc", "grpc")
            expected = _BASELINES[case]
            for side, kind in (("client", client), ("server", server)):
                if kind == "ours" and side in differs:
                    row, *expected = differs[side]
                    assert expected != _BASELINES[case]
                    assert f"| {row} |" in README.read_text(encoding="utf-8"), row
            observed = await observation(case, client, server)
            assert observed == expected, f"\n{observed}\n{expected} (expected)"

        return test_like_grpc_aio


# What is observed.


async def outcome(awaitable):
    """The value, or the error as code written for grpc.aio sees it; of statuses the code alone."""
    try:
        return await awaitable
    except grpc.aio.AioRpcError as error:
        return ("AioRpcError", error.code().name)
    except asyncio.CancelledError:
        return "CancelledError"
    except Exception as error:  # noqa: BLE001  # that is what is compared
        return kind_of(error)


def kind_of(error):
    """The public class of an error."""
    public = (grpc.aio.InternalError, grpc.aio.UsageError, grpc.aio.AbortError)
    return next((kind.__name__ for kind in public if isinstance(error, kind)), type(error).__name__)


async def refused(awaitable):
    """All that a caller gets with an error."""
    try:
        return ("no error", await awaitable)
    except grpc.aio.AioRpcError as error:
        return (error.code().name, error.details(), tuple(error.initial_metadata()), tuple(error.trailing_metadata()))


async def ending(call):
    """All that a call says of its end."""
    return (
        (await call.code()).name,
        await call.details(),
        tuple(await call.initial_metadata()),
        tuple(await call.trailing_metadata()),
        call.done(),
        call.cancelled(),
    )


async def all_of(call):
    """The replies of a stream."""
    return [reply async for reply in call]


async def each(*items):
    for item in items:
        yield item


async def echo(request, _context):
    return request


async def never(*_):
    await asyncio.Event().wait()


async def count(request, _context):
    for number in range(int(request)):
        yield b"%d" % number


async def double(requests, _context):
    async for request in requests:
        yield request * 2


async def join(requests, _context):
    return b",".join([request async for request in requests])
