# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 9113 by frames against our client: what it does with a server that breaks the rules."""

import asyncio
import contextlib
import struct

import grpc

from gateway.grpc_h2 import Channel
from tests import raw_http2 as wire
from tests.echo_server import ECHO, until
from tests.raw_http2 import block, frame, message, raw_server, trailers
from tests.rfc9113 import (
    BODY,
    CANCEL,
    COMPRESSION_ERROR,
    EXTENSION,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    MAX_FRAME_BYTES,
    PROTOCOL_ERROR,
    STREAM_WINDOW,
    closed,
    connection_error,
    continuation,
    data,
    headers,
    ignored,
    outcome_of,
    priority,
    settings,
    stream_error,
    table,
    update,
)

LAST = wire.END_HEADERS | wire.END_STREAM
BROKEN, SIZE, WINDOW, UNDECODABLE = (
    connection_error(code) for code in (PROTOCOL_ERROR, FRAME_SIZE_ERROR, FLOW_CONTROL_ERROR, COMPRESSION_ERROR)
)
MALFORMED = stream_error(PROTOCOL_ERROR)
STATUS, TYPE = (b":status", b"200"), (b"content-type", b"application/grpc")
FIELDS = block(STATUS, TYPE)
OK = trailers(1, (b"grpc-status", b"0"))
# Of a reply: how it begins, and how it goes on.
BEGUN, REST = headers(FIELDS), data(flags=0) + OK
TOO_LARGE = bytes(MAX_FRAME_BYTES + 1)
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
# Twice as much as a stream has room for.
MUCH = data(message(bytes(MAX_FRAME_BYTES - 5)), 0) * (2 * STREAM_WINDOW // MAX_FRAME_BYTES)


def answered(outcome):
    """No error; that the call has its reply is checked besides."""
    ignored(outcome)


async def check_client(frames, expected, *, greet=True):
    """Our client's reaction to a server is the expected one, the call ends, and a later one has its reply."""
    outcomes = []

    async def script(reader, writer):
        if greet:
            assert await wire.asked(reader) == 1
            writer.write(settings(flags=wire.ACK))
        else:
            await reader.readexactly(len(wire.PREFACE))
        outcomes.append(await outcome_of(reader, writer, frames, ends=getattr(expected, "ends", ())))

    async def well(reader, writer):
        if not greet:
            await reader.readexactly(len(wire.PREFACE))
            writer.write(settings())
        while (stream := await wire.asked(reader)) is not None:
            writer.write(wire.answer(stream, b"x"))

    async def call():
        return await channel.unary_unary(ECHO)(b"x", timeout=5)

    async with (
        raw_server(script, well, greet=greet) as port,
        Channel(f"127.0.0.1:{port}", max_message_bytes=MAX_MESSAGE_BYTES) as channel,
    ):
        try:
            assert await call() == b"x"
        except grpc.aio.AioRpcError as error:
            assert expected is not answered, error
            assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: outcomes)
        expected(outcomes[0])
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert await call() == b"x"
                    break


@table(
    ("3.4", "HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", closed),
    ("3.4", "no SETTINGS at first", update(1) + settings(), BROKEN),
)
async def test_starting(frames, expected):
    await check_client(frames, expected, greet=False)


@table(
    ("4.1", "an unknown type", frame(EXTENSION, 0xFF, 0, bytes(9)) + BEGUN + frame(EXTENSION, 0, 1) + REST, answered),
    ("4.1", "unknown flags", headers(FIELDS, wire.END_HEADERS | 0xD2) + REST, answered),
    ("4.2", "DATA that is too large", BEGUN + data(TOO_LARGE, 0), stream_error(FRAME_SIZE_ERROR)),
    ("4.2", "HEADERS that are too large", headers(TOO_LARGE), SIZE),
    ("4.3", "index 0", headers(b"\x80"), UNDECODABLE),
    ("4.3", "an index beyond the table", headers(b"\xff\x7f"), UNDECODABLE),
    ("4.3", "a block that ends within a field", headers(FIELDS[:-3]), UNDECODABLE),
    ("4.3", "a table larger than allowed", headers(b"\x3f\xe2\x1f" + FIELDS), UNDECODABLE),
    ("4.3", "DATA within a block", headers(FIELDS, 0) + data(), BROKEN),
    ("4.3", "another stream within a block", headers(FIELDS, 0) + headers(FIELDS, stream=3), BROKEN),
    ("6.10", "a block in two frames", headers(FIELDS[:9], 0) + continuation(FIELDS[9:]) + REST, answered),
)
async def test_the_format_of_frames(frames, expected):
    await check_client(frames, expected)


@table(
    ("5.1", "idle: DATA", data(stream=7), BROKEN),
    ("5.1", "idle: HEADERS", headers(FIELDS, stream=7), BROKEN),
    ("5.1", "idle: RST_STREAM", wire.reset(7, CANCEL), BROKEN),
    ("5.1", "idle: WINDOW_UPDATE", update(1, 7), BROKEN),
    ("5.1", "half-closed: DATA", BEGUN + REST + data(), ignored),
    ("5.1.1", "HEADERS on a stream of the server's", headers(FIELDS, stream=2), BROKEN),
    ("5.3", "PRIORITY", priority() + BEGUN + REST, answered),
    ("6.1", "DATA on stream 0", data(stream=0), BROKEN),
    ("6.1", "padding", BEGUN + data(b"\x03" + BODY + bytes(3), wire.PADDED) + OK, answered),
    ("6.1", "more padding than there is", BEGUN + data(b"\x05" + bytes(4), wire.PADDED), BROKEN),
    ("6.2", "HEADERS on stream 0", headers(FIELDS, stream=0), BROKEN),
    ("6.4", "RST_STREAM on stream 0", wire.reset(0, CANCEL), BROKEN),
    ("6.4", "RST_STREAM of 3 bytes", frame(wire.RST_STREAM, 0, 1, bytes(3)), SIZE),
    ("6.6", "PUSH_PROMISE", frame(wire.PUSH_PROMISE, 4, 1, struct.pack(">I", 2) + FIELDS), BROKEN),
    ("6.7", "PING on a stream", frame(wire.PING, 0, 1, bytes(8)), BROKEN),
    ("6.7", "PING of 7 bytes", frame(wire.PING, payload=bytes(7)), SIZE),
    ("6.8", "GOAWAY on a stream", frame(wire.GOAWAY, 0, 1, bytes(8)), BROKEN),
    ("6.9", "an increment of 0", update(0), BROKEN),
    ("6.9", "an increment of 0 on a stream", BEGUN + update(0, 1), stream_error(PROTOCOL_ERROR)),
    ("6.9.1", "a connection's window of 2^31", update(2**31 - 1), WINDOW),
    ("6.9.1", "a stream's window of 2^31", BEGUN + update(2**31 - 1, 1), stream_error(FLOW_CONTROL_ERROR)),
    ("6.10", "CONTINUATION on stream 0", headers(FIELDS, 0) + continuation(b"", stream=0), BROKEN),
    ("6.10", "CONTINUATION alone", continuation(FIELDS), BROKEN),
)
async def test_streams_and_types_of_frames(frames, expected):
    await check_client(frames, expected)


async def test_more_than_a_stream_has_room_for():
    outcomes = []

    async def script(reader, writer):
        await wire.asked(reader)
        writer.write(settings(flags=wire.ACK))
        outcomes.append(await outcome_of(reader, writer, BEGUN + MUCH))

    async with raw_server(script) as port, Channel(f"127.0.0.1:{port}", max_message_bytes=MAX_MESSAGE_BYTES) as channel:
        # Replies that nobody reads: there is no new credit.
        call = channel.unary_stream(ECHO)(b"x", timeout=5)
        await until(lambda: outcomes)
        stream_error(FLOW_CONTROL_ERROR)(outcomes[0])
        assert await call.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}


async def test_more_replies_than_one():
    await check_client(BEGUN + MUCH, stream_error(CANCEL))


@table(
    ("6.5", "on a stream", settings(stream=1), BROKEN),
    ("6.5", "an acknowledgement with settings", settings((4, 1), flags=wire.ACK), SIZE),
    ("6.5", "half a setting", frame(wire.SETTINGS, payload=bytes(3)), SIZE),
    ("6.5.2", "ENABLE_PUSH of 1", settings((2, 1)), BROKEN),
    ("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", settings((4, 2**31)), WINDOW),
    ("6.5.2", "MAX_FRAME_SIZE of 2^14-1", settings((5, 2**14 - 1)), BROKEN),
    ("6.5.2", "an unknown setting", settings((0xFA, 7)) + BEGUN + REST, answered),
)
async def test_settings(frames, expected):
    await check_client(frames, expected)


@table(
    ("8.1", "DATA before HEADERS", data(flags=0), MALFORMED),
    ("8.1", "HEADERS after the end", BEGUN + REST + headers(FIELDS), ignored),
    (
        "8.1",
        "trailers that do not end the stream",
        BEGUN + data(flags=0) + headers(block((b"grpc-status", b"0"))),
        MALFORMED,
    ),
    (
        "8.1",
        "100 and 103 before the reply",
        headers(block((b":status", b"100"))) + headers(block((b":status", b"103"))) + BEGUN + REST,
        answered,
    ),
    ("8.1", "100 that ends the stream", headers(block((b":status", b"100")), LAST), MALFORMED),
    ("8.1.1", "content-length", headers(FIELDS + block((b"content-length", b"6"))) + REST, answered),
    ("8.1.1", "content-length above the body's", headers(FIELDS + block((b"content-length", b"7"))) + REST, MALFORMED),
    ("8.1.1", "content-length below the body's", headers(FIELDS + block((b"content-length", b"5"))) + REST, MALFORMED),
    ("8.2.1", "a name in capitals", headers(FIELDS + block((b"X-Test", b"1"))), MALFORMED),
    ("8.2.1", "LF in a value", headers(FIELDS + block((b"x-test", b"a\nb"))), MALFORMED),
    ("8.2.1", "a blank after a value", headers(FIELDS + block((b"x-test", b"a "))), MALFORMED),
    ("8.2.2", "connection", headers(FIELDS + block((b"connection", b"close"))), MALFORMED),
    ("8.2.2", "transfer-encoding", headers(FIELDS + block((b"transfer-encoding", b"chunked"))), MALFORMED),
    ("8.3", "one of requests", headers(block(STATUS, (b":path", b"/"), TYPE)), MALFORMED),
    ("8.3", "an unknown one", headers(block(STATUS, (b":test", b"1"), TYPE)), MALFORMED),
    ("8.3", "one after other fields", headers(block(TYPE, STATUS)), MALFORMED),
    ("8.3", "one in trailers", BEGUN + data(flags=0) + trailers(1, STATUS), MALFORMED),
    ("8.3.2", "no status", headers(block(TYPE)), MALFORMED),
    ("8.3.2", "two statuses", headers(block(STATUS, STATUS, TYPE)), MALFORMED),
    ("8.3.2", "a status of four digits", headers(block((b":status", b"2000"), TYPE)), MALFORMED),
    ("8.6", "101", headers(block((b":status", b"101"))), MALFORMED),
)
async def test_messages(frames, expected):
    await check_client(frames, expected)
