# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client of ours asks again, and what it does not."""

import asyncio
import contextlib

import grpc
import pytest

from gateway.grpc_h2 import Channel
from gateway.grpc_h2.client.ended import LOST_UNSEEN
from gateway.grpc_h2.client.retrying import Retries
from tests import raw_http2 as wire
from tests.echo_server import serving, serving_by_grpc, status_of

UNARY, TALK, CHAT = METHODS = "/test.Flaky/Unary", "/test.Flaky/Talk", "/test.Flaky/Chat"


class Flaky(grpc.GenericRpcHandler):
    """Fails some times before it answers."""

    def __init__(self):
        self.failures_left = 0
        self.code = grpc.StatusCode.UNAVAILABLE
        self.trailing = ()
        self.read_first = 0
        self.began_first = False
        self.attempts = []
        self.seen = []
        self._methods = {
            UNARY: grpc.unary_unary_rpc_method_handler(self.unary),
            TALK: grpc.unary_stream_rpc_method_handler(self.talk),
            CHAT: grpc.stream_stream_rpc_method_handler(self.chat),
        }

    def service(self, handler_call_details):
        return self._methods.get(handler_call_details.method)

    async def unary(self, request, context):
        await self._perhaps(context)
        return request

    async def talk(self, request, context):
        if self.began_first:
            await context.write(b"begun")
        await self._perhaps(context)
        await context.write(request)

    async def chat(self, requests, context):
        seen = []
        self.seen.append(seen)
        while len(seen) < self.read_first:
            seen.append(await anext(requests))
        await self._perhaps(context)
        seen.extend([request async for request in requests])
        for request in seen:
            await context.write(request)

    async def _perhaps(self, context):
        self.attempts.append(dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts"))
        if self.failures_left:
            self.failures_left -= 1
            await context.abort(self.code, f"{self.failures_left} left", self.trailing)


@pytest.fixture(params=[serving, serving_by_grpc], ids=["ours", "grpc"])
def serve(request):
    return request.param


@contextlib.asynccontextmanager
async def flaky(serve, *, idempotent=METHODS, **settings):
    """(our channel, handlers)."""
    handlers = Flaky()
    for name, value in settings.items():
        setattr(handlers, name, value)
    async with (
        serve(handlers) as (port, _, _),
        Channel(f"127.0.0.1:{port}", max_message_bytes=16 * 1024 * 1024, idempotent=idempotent) as channel,
    ):
        yield channel, handlers


async def each(items):
    for item in items:
        yield item


async def all_of(call):
    return [reply async for reply in call]


async def test_a_server_that_is_not_available_is_asked_again(serve):
    async with flaky(serve, failures_left=2) as (channel, handlers):
        assert await channel.unary_unary(UNARY)(b"x", timeout=20) == b"x"
        assert handlers.attempts == [None, "1", "2"]
        handlers.failures_left = 2
        assert await all_of(channel.unary_stream(TALK)(b"x", timeout=20)) == [b"x"]
        assert len(handlers.attempts) == 6
        assert (channel.tally.succeeded, channel.tally.failed) == (2, 0)


async def test_what_a_server_may_not_do_twice_is_asked_once(serve):
    async with flaky(serve, idempotent=(), failures_left=1) as (channel, handlers):
        error = await status_of(channel.unary_unary(UNARY)(b"x", timeout=20))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "0 left")
        handlers.failures_left = 1
        error = await status_of(all_of(channel.stream_stream(CHAT)(each([b"x"]), timeout=20)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert handlers.attempts == [None, None]


def refused(stream):
    return wire.reset(stream, 7)


def behind_the_last(stream):
    return wire.goaway(0)


def unavailable(stream):
    return wire.response(stream, (b"grpc-status", b"14"), end=True)


@pytest.mark.parametrize(("first", "asked"), [(refused, 2), (behind_the_last, 2), (unavailable, 1), (None, 1)])
async def test_what_no_server_has_seen_is_asked_again(first, asked):
    count = 0

    async def script(reader, writer):
        nonlocal count
        while (stream := await wire.asked(reader)) is not None:
            count += 1
            if count > 1:
                writer.write(wire.answer(stream, b"fine"))
            elif first is None:
                # It may have been seen, and the connection breaks.
                writer.transport.abort()
            else:
                writer.write(first(stream))

    async with (
        wire.raw_server(script, script) as port,
        Channel(f"127.0.0.1:{port}", max_message_bytes=1_000) as channel,
    ):
        call = channel.unary_unary(UNARY)(b"", timeout=10)
        if asked == 2:
            assert await call == b"fine"
        else:
            assert (await status_of(call)).code() is grpc.StatusCode.UNAVAILABLE
        assert count == asked


async def test_what_was_not_written_when_the_connection_broke_is_asked_again():
    breaking = asyncio.Event()

    async def script(reader, writer):
        await breaking.wait()
        writer.transport.abort()

    async def fine(reader, writer):
        while (stream := await wire.asked(reader)) is not None:
            writer.write(wire.answer(stream, b"fine"))

    async with wire.raw_server(script, fine) as port, Channel(f"127.0.0.1:{port}", max_message_bytes=1_000) as channel:
        await channel.channel_ready()
        (connection,) = channel.connections
        # What a transport does whose peer takes nothing.
        connection.pause_writing()
        call = channel.unary_unary(UNARY)(b"", timeout=10)
        await asyncio.sleep(0)
        breaking.set()
        assert await call == b"fine"


async def test_but_not_for_ever(serve):
    async with flaky(serve, failures_left=9) as (channel, handlers):
        error = await status_of(channel.unary_unary(UNARY)(b"x", timeout=20))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "5 left")
        assert handlers.attempts == [None, "1", "2", "3"]
        error = await status_of(all_of(channel.unary_stream(TALK)(b"x", timeout=20)))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "1 left")


async def test_nor_past_the_deadline(serve):
    trailing = (("grpc-retry-pushback-ms", "60000"),)
    async with flaky(serve, failures_left=1, trailing=trailing) as (channel, handlers):
        error = await status_of(channel.unary_unary(UNARY)(b"x", timeout=0.2))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        call = channel.unary_stream(TALK)(b"x")
        handlers.failures_left = 1
        reading = asyncio.ensure_future(anext(aiter(call)))
        while len(handlers.attempts) < 2:
            await asyncio.sleep(0.01)
        call.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await reading


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_other_errors_are_final(serve, code):
    async with flaky(serve, failures_left=1, code=code) as (channel, handlers):
        assert (await status_of(channel.unary_unary(UNARY)(b"x", timeout=20))).code() is code
        assert len(handlers.attempts) == 1


async def test_an_answer_that_has_begun_is_not_begun_again(serve):
    async with flaky(serve, failures_left=1, began_first=True) as (channel, handlers):
        call = channel.unary_stream(TALK)(b"x", timeout=20)
        assert await anext(aiter(call)) == b"begun"
        error = await status_of(anext(aiter(call)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert len(handlers.attempts) == 1


@pytest.mark.parametrize(("pushback", "attempts"), [("-1", 1), ("soon", 1), ("0", 2), ("300", 2)])
async def test_the_server_says_when_it_would_be_asked_again(serve, pushback, attempts):
    trailing = (("grpc-retry-pushback-ms", pushback),)
    async with flaky(serve, failures_left=1, trailing=trailing) as (channel, handlers):
        began_s = asyncio.get_running_loop().time()
        asked = channel.unary_unary(UNARY)(b"x", timeout=20)
        if attempts == 1:
            assert (await status_of(asked)).code() is grpc.StatusCode.UNAVAILABLE
        else:
            assert await asked == b"x"
        assert len(handlers.attempts) == attempts
        assert asyncio.get_running_loop().time() - began_s >= (0.3 if pushback == "300" else 0)


async def test_what_was_sent_of_a_stream_is_sent_again(serve):
    parts = [b"%d" % number for number in range(100)]
    async with flaky(serve, failures_left=2, read_first=20) as (channel, handlers):
        assert await all_of(channel.stream_stream(CHAT)(each(parts), timeout=20)) == parts
        assert [seen[:20] for seen in handlers.seen] == [parts[:20]] * 3
        assert handlers.attempts == [None, "1", "2"]


async def test_a_stream_that_goes_on_after_another_attempt_began(serve):
    tried = asyncio.Event()

    async def questions():
        yield b"a"
        yield b"b"
        await tried.wait()
        yield b"c"

    async with flaky(serve, failures_left=1, read_first=2) as (channel, handlers):
        reading = asyncio.ensure_future(all_of(channel.stream_stream(CHAT)(questions(), timeout=20)))
        async with asyncio.timeout(10):
            while len(handlers.attempts) < 2:
                await asyncio.sleep(0.01)
        tried.set()
        assert await reading == [b"a", b"b", b"c"]


async def test_too_much_was_sent_to_be_sent_again(serve):
    async with flaky(serve, failures_left=1, read_first=3) as (channel, handlers):
        error = await status_of(all_of(channel.stream_stream(CHAT)(each([b"x" * 100_000] * 3), timeout=20)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert len(handlers.attempts) == 1


async def test_a_source_without_end_does_not_hold_the_loop_up_while_nothing_can_be_sent(serve):
    async def questions():
        while True:
            yield b"x"

    async with flaky(serve, failures_left=9, read_first=1) as (channel, _):
        error = await status_of(all_of(channel.stream_stream(CHAT)(questions(), timeout=20)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert channel.tally.under_way == 0


def test_what_no_server_has_seen_counts_as_no_attempt():
    retries = Retries()
    assert [retries.after(LOST_UNSEEN, was_sent=True, idempotent=False) for _ in range(2)] == [0.0, 0.0]
    assert retries.failures == 0
    # Not for ever at once.
    assert retries.after(LOST_UNSEEN, was_sent=True, idempotent=False) > 0
    assert retries.failures == 1
