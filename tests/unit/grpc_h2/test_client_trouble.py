# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of ours before servers that speak badly, or not at all: frames by hand."""

import asyncio
import gzip
import struct

import grpc
import pytest

from gateway.grpc_h2 import Channel
from gateway.grpc_h2.client import connection as connection_module
from gateway.grpc_h2.client import pool as pool_module
from gateway.grpc_h2.client.connection import Connection
from tests import raw_http2 as wire
from tests.echo_server import ECHO, serving, status_of, until

Code = grpc.StatusCode


def channel_to(port):
    return Channel(f"127.0.0.1:{port}", max_message_bytes=1_000_000, idempotent={ECHO})


async def stays(reader, _writer=None):
    while await reader.read(65_536):
        pass


def answering(*answers):
    """A script that answers each question with what a function makes of its stream, the last for all further ones."""
    waiting = list(answers)

    async def script(reader, writer):
        while (stream := await wire.asked(reader)) is not None:
            writer.write((waiting.pop(0) if len(waiting) > 1 else waiting[0])(stream))

    return script


def fine(stream):
    return wire.answer(stream, b"fine")


async def still_works(channel):
    """Another call on the same connection, on which no stream is left."""
    assert await channel.unary_unary(ECHO)(b"", timeout=10) == b"fine"
    (connection,) = channel.connections
    await until(lambda: not connection._attempts)
    assert connection.tally.under_way == channel.tally.under_way == 0


@pytest.mark.parametrize(
    ("said", "code", "details"),
    [
        (lambda s: wire.response(s, (b"grpc-status", b"5"), (b"grpc-message", b"not%20here"), end=True), 5, "not here"),
        (lambda s: wire.response(s, (b"grpc-status", b"5"), status=b"503", end=True), 5, ""),
        (lambda s: wire.response(s, (b"grpc-status", b"77"), end=True), 2, ""),
        (lambda s: wire.response(s, (b"grpc-status", b"0"), end=True), 13, "0 answers"),
        (lambda s: wire.response(s, status=b"404", content_type=b"text/html", end=True), 12, "404"),
        (lambda s: wire.response(s, status=b"404") + wire.frame(wire.DATA, 1, s, b"<html>"), 12, "404"),
        (lambda s: wire.response(s, status=b"401", end=True), 16, "401"),
        (lambda s: wire.response(s, status=b"418", end=True), 2, "418"),
        (lambda s: wire.response(s, content_type=b"text/html") + wire.frame(wire.DATA, 1, s, b"<html>"), 2, "200"),
        (lambda s: wire.response(s) + wire.trailers(s, (b"x-odd", b"1")), 2, "no status"),
        (lambda s: wire.response(s, end=True), 2, "no status"),
        (lambda s: wire.response(s) + wire.frame(wire.DATA, 1, s, wire.message(b"abc")), 2, "no status"),
        (
            lambda s: (
                wire.response(s)
                + wire.frame(wire.DATA, 0, s, wire.message(b"abc")[:-1])
                + wire.trailers(s, (b"grpc-status", b"0"))
            ),
            13,
            "within a message",
        ),
        (lambda s: wire.response(s) + wire.frame(wire.DATA, 0, s, struct.pack(">BI", 0, 2**32 - 1)), 8, "4294967295"),
        (lambda s: wire.response(s) + wire.frame(wire.DATA, 0, s, wire.message(b"ab")) * 2
         + wire.trailers(s, (b"grpc-status", b"0")), 13, "several answers"),
        (lambda s: wire.response(s, (b"grpc-encoding", b"lz4")), 13, "grpc-encoding"),
        (lambda s: wire.response(s, (b"grpc-status", b"0")) + wire.frame(wire.DATA, 0, s, b"a"), 13, ""),
        (lambda s: wire.trailers(s, (b"x-odd", b"1")), 13, ""),
        (lambda s: wire.response(s, (b"X-Odd", b"1")), 13, ""),
        (lambda s: wire.response(s) + wire.response(s), 13, ""),
        (lambda s: wire.response(s, *((b"x-%d" % n, b"x" * 20) for n in range(400))), 13, ""),
        (lambda s: wire.response(s, (b"x-odd-bin", b"!!"), (b"grpc-status", b"5"), end=True), 13, "base64"),
        (lambda s: wire.reset(s, 0), 13, "code 0"),
        (lambda s: wire.reset(s, 2), 13, "code 2"),
        (lambda s: wire.reset(s, 8), 1, "code 8"),
        (lambda s: wire.reset(s, 11), 8, "code 11"),
        (lambda s: wire.reset(s, 12), 7, "code 12"),
        (lambda s: wire.reset(s, 99), 13, "code 99"),
        (lambda s: wire.response(s) + wire.reset(s, 7), 14, "takes no more calls"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none(said, code, details):
    async with wire.raw_server(answering(said, fine)) as port, channel_to(port) as channel:
        error = await status_of(channel.unary_unary(ECHO)(b"", timeout=10))
        assert error.code().value[0] == code
        assert details in error.details()
        await still_works(channel)


@pytest.mark.parametrize(
    ("content", "encoding", "code"),
    [
        (wire.message(gzip.compress(b"fine", mtime=0), compressed=1), b"gzip", None),
        (wire.message(b"fine", compressed=1), b"gzip", Code.INTERNAL),
        (wire.message(b"fine", compressed=1), b"identity", Code.INTERNAL),
        (wire.message(gzip.compress(bytes(1_000_001), mtime=0), compressed=1), b"gzip", Code.RESOURCE_EXHAUSTED),
    ],
    ids=["compressed", "not compressed", "an encoding that compresses nothing", "too large"],
)
async def test_compressed_answers(content, encoding, code):
    def said(stream):
        return wire.response(stream, (b"grpc-encoding", encoding)) + wire.frame(wire.DATA, 0, stream, content)

    def whole(stream):
        return said(stream) + wire.trailers(stream, (b"grpc-status", b"0"))

    async with wire.raw_server(answering(whole, whole, said, fine)) as port, channel_to(port) as channel:
        if code is None:
            assert [reply async for reply in channel.unary_stream(ECHO)(b"")] == [b"fine"]
            assert await channel.unary_unary(ECHO)(b"", timeout=10) == b"fine"
            call = channel.unary_stream(ECHO)(b"")
            assert await anext(aiter(call)) == b"fine"
            call.cancel()
        else:
            assert (await status_of(channel.unary_unary(ECHO)(b"", timeout=10))).code() is code
            # Its status is OK, and comes before this is read.
            call = channel.unary_stream(ECHO)(b"")
            assert await call.code() is Code.OK
            assert (await status_of(anext(aiter(call)))).code() is code
            # The server has not ended this one: whoever cannot read it does.
            assert (await status_of(anext(aiter(channel.unary_stream(ECHO)(b""))))).code() is code
        await still_works(channel)


async def test_hints_before_an_answer_are_none():
    def said(stream):
        return wire.frame(wire.HEADERS, wire.END_HEADERS, stream, wire.block((b":status", b"103"))) + fine(stream)

    async with wire.raw_server(answering(said)) as port, channel_to(port) as channel:
        await still_works(channel)


@pytest.mark.parametrize("said", [lambda s: wire.reset(s, 7), lambda s: wire.response(s, status=b"503", end=True)])
async def test_a_question_that_was_not_looked_at_is_asked_again(said):
    async with wire.raw_server(answering(said, fine)) as port, channel_to(port) as channel:
        await still_works(channel)


async def test_a_question_behind_the_last_stream_is_asked_once_more_elsewhere():
    asked = []

    def noting(number, script):
        async def noted(reader, writer):
            asked.append(number)
            await script(reader, writer)

        return noted

    async def leaving(reader, writer):
        first = await wire.asked(reader)
        second = await wire.asked(reader)
        writer.write(wire.goaway(first) + wire.answer(first, b"looked at"))
        assert (first, second) == (1, 3)
        await stays(reader)

    async with wire.raw_server(noting(1, leaving), noting(2, answering(fine))) as port, channel_to(port) as channel:
        echo = channel.unary_unary(ECHO)
        assert await asyncio.gather(echo(b"a", timeout=10), echo(b"b", timeout=10)) == [b"looked at", b"fine"]
        assert asked == [1, 2]
        await until(lambda: len(channel.connections) == 1)
        await still_works(channel)


async def test_questions_that_wait_for_their_turn_go_elsewhere_when_the_server_goes():
    go = asyncio.Event()

    async def leaving(reader, writer):
        first = await wire.asked(reader)
        writer.write(wire.goaway(2**31 - 1))
        await go.wait()
        writer.write(wire.answer(first, b"at last"))
        await stays(reader)

    one = struct.pack(">HI", 3, 1)
    async with wire.raw_server(leaving, answering(fine), settings=one) as port, channel_to(port) as channel:
        await channel.connected()
        first = asyncio.ensure_future(channel.unary_unary(ECHO)(b"", timeout=20))
        waiting = [asyncio.ensure_future(channel.unary_unary(ECHO)(b"", timeout=20)) for _ in range(5)]
        async with asyncio.timeout(10):
            assert await asyncio.gather(*waiting) == [b"fine"] * 5
        assert not first.done()
        go.set()
        assert await first == b"at last"


async def test_questions_that_are_withdrawn_before_their_turn_leave_nothing():
    one = struct.pack(">HI", 3, 1)
    go = asyncio.Event()

    async def slow(reader, writer):
        first = await wire.asked(reader)
        await go.wait()
        writer.write(wire.answer(first, b"at last"))
        await answering(fine)(reader, writer)

    async with wire.raw_server(slow, settings=one) as port, channel_to(port) as channel:
        first = asyncio.ensure_future(channel.unary_unary(ECHO)(b"", timeout=20))
        await until(lambda: channel.connections and next(iter(channel.connections))._attempts)
        (connection,) = channel.connections
        errors = await asyncio.gather(
            *(channel.unary_unary(ECHO)(b"x" * 1_000, timeout=0.1) for _ in range(50)), return_exceptions=True
        )
        assert {error.code() for error in errors} == {Code.DEADLINE_EXCEEDED}
        assert len(connection._attempts) == 1
        go.set()
        assert await first == b"at last"
        await still_works(channel)


async def test_a_connection_that_breaks_is_found_anew():
    async def breaking(reader, writer):
        await wire.asked(reader)
        writer.transport.abort()

    async with wire.raw_server(breaking, breaking, answering(fine)) as port, channel_to(port) as channel:
        await still_works(channel)


async def test_a_connection_that_breaks_within_an_answer():
    async def breaking(reader, writer):
        stream = await wire.asked(reader)
        writer.write(wire.response(stream) + wire.frame(wire.DATA, 0, stream, wire.message(b"first")))
        await asyncio.sleep(0.1)
        writer.transport.abort()

    async with wire.raw_server(breaking, answering(fine)) as port, channel_to(port) as channel:
        call = channel.unary_stream(ECHO)(b"", timeout=10)
        assert await anext(aiter(call)) == b"first"
        assert (await status_of(anext(aiter(call)))).code() is Code.UNAVAILABLE
        await still_works(channel)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"", wire.frame(wire.GOAWAY)])
async def test_what_does_not_speak_http2(said):
    async def script(reader, writer):
        writer.write(said)
        writer.write_eof()

    async with wire.raw_server(script, greet=False) as port, channel_to(port) as channel:
        assert (await status_of(channel.unary_unary(ECHO)(b"", timeout=10))).code() is Code.UNAVAILABLE


@pytest.mark.parametrize(
    "said",
    [
        wire.frame(wire.DATA, 0, 0, b"x"),
        wire.frame(wire.DATA, 0, 1, b"x"),
        wire.frame(wire.SETTINGS, 0, 0, b"x"),
        b"\xff" * 64,
    ],
)
async def test_rules_broken_within_a_call(said):
    async def script(reader, writer):
        await wire.asked(reader)
        writer.write(said)
        # It does not even close.
        await stays(reader)

    async with wire.raw_server(script, answering(fine)) as port, channel_to(port) as channel:
        assert await channel.unary_unary(ECHO)(b"", timeout=10) == b"fine"


async def test_a_server_that_never_speaks(monkeypatch):
    monkeypatch.setattr(pool_module, "_CONNECTED_WITHIN_S", 0.2)
    async with wire.raw_server(stays, greet=False) as port, channel_to(port) as channel:
        assert (await status_of(channel.unary_unary(ECHO)(b"", timeout=10))).code() is Code.UNAVAILABLE


async def test_a_server_that_falls_silent_is_asked_for_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(connection_module, "KEEPALIVE_PERIOD_S", 0.2)
    monkeypatch.setattr(connection_module, "KEEPALIVE_TIMEOUT_S", 0.2)
    pinged = asyncio.Event()

    async def silent(reader, writer):
        stream = await wire.asked(reader)
        writer.write(wire.response(stream))
        await wire.frames(reader, until=wire.PING)
        pinged.set()
        await stays(reader)

    async with wire.raw_server(silent, answering(fine)) as port, channel_to(port) as channel:
        error = await status_of(channel.unary_unary(ECHO)(b"", timeout=20))
        assert error.code() is Code.UNAVAILABLE
        assert pinged.is_set()
        await still_works(channel)


async def test_a_server_that_is_alive_may_take_its_time(monkeypatch):
    monkeypatch.setattr(connection_module, "KEEPALIVE_PERIOD_S", 0.1)
    monkeypatch.setattr(connection_module, "KEEPALIVE_TIMEOUT_S", 0.1)

    async def slow(reader, writer):
        stream = await wire.asked(reader)
        for _ in range(5):
            came = (await wire.frames(reader, until=wire.PING))[-1]
            writer.write(wire.frame(wire.PING, 1, payload=came[3]))
        writer.write(fine(stream))
        await answering(fine)(reader, writer)

    async with wire.raw_server(slow) as port, channel_to(port) as channel:
        assert await channel.unary_unary(ECHO)(b"", timeout=20) == b"fine"
        (connection,) = channel.connections
        assert len(connection._timers) < 5
        await still_works(channel)


async def test_a_connection_without_streams_left_is_followed_by_another(monkeypatch):
    left = [1, 1, 0]
    request = Connection.request

    def numbered(connection, headers):
        return request(connection, headers) if not left or left.pop(0) else 0

    monkeypatch.setattr(Connection, "request", numbered)
    async with serving() as (port, _, server), channel_to(port) as channel:
        for _ in range(4):
            assert await channel.unary_unary(ECHO)(b"x", timeout=10) == b"x"
        assert server.accepted == 2
        await until(lambda: len(channel.connections) == 1)
