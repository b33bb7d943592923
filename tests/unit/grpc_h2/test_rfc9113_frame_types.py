# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 9113, section 6, by frames against our server: the rules of each type of frame."""

import struct

from tests import raw_http2 as wire
from tests.echo_server import WAIT, serving
from tests.raw_http2 import frame, goaway, message, raw, reset
from tests.rfc9113 import (
    BODY,
    CANCEL,
    FIELDS,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    answered,
    asked,
    check_server,
    connection_error,
    continuation,
    data,
    headers,
    ignored,
    outcome_of,
    settings,
    table,
)

BROKEN, SIZE = connection_error(PROTOCOL_ERROR), connection_error(FRAME_SIZE_ERROR)
OPEN, WAITING = asked(end=False), asked(path=WAIT)
PADDED = wire.END_STREAM | wire.PADDED
PIECES = b"".join(continuation(FIELDS[at : at + 40], 0) for at in range(0, len(FIELDS), 40))


@table(
    ("6.1", "on stream 0", data(stream=0), BROKEN),
    ("6.1", "padding", OPEN + data(b"\x03" + BODY + bytes(3), PADDED), answered(1)),
    ("6.1", "nothing but padding", OPEN + data(b"\x03" + bytes(3), wire.PADDED) + data(), answered(1)),
    ("6.1", "more padding than there is", OPEN + data(b"\x05" + bytes(4), PADDED), BROKEN),
    ("6.1", "no length of its padding", OPEN + data(b"", PADDED), connection_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    ("6.1", "many small ones", OPEN + b"".join(data(bytes([x]), 0) for x in BODY) + data(b""), answered(1)),
)
async def test_data(frames, expected):
    await check_server(frames, expected)


@table(
    ("6.2", "on stream 0", headers(FIELDS, 5, 0), BROKEN),
    ("6.2", "padding", headers(b"\x02" + FIELDS + bytes(2), 4 | wire.PADDED) + data(), answered(1)),
    ("6.2", "more padding than there is", headers(b"\xff" + FIELDS[:20], 4 | PADDED), BROKEN),
    ("6.2", "too short for a priority", headers(bytes(3), 5 | wire.WITH_PRIORITY), SIZE),
    ("6.10", "a block in pieces", headers(b"", 0) + PIECES + continuation(b"") + data(), answered(1)),
    ("6.10", "CONTINUATION on stream 0", headers(FIELDS, 0) + continuation(b"", stream=0), BROKEN),
    ("6.10", "CONTINUATION on another stream", headers(FIELDS, 0) + continuation(b"", stream=3), BROKEN),
    ("6.10", "CONTINUATION after a whole block", OPEN + continuation(b""), BROKEN),
    ("6.10", "CONTINUATION after the last one", headers(FIELDS, 0) + continuation(b"") * 2, BROKEN),
    ("6.10", "CONTINUATION after DATA", OPEN + data(b"", 0) + continuation(b""), BROKEN),
)
async def test_headers(frames, expected):
    await check_server(frames, expected)


@table(
    ("6.4", "RST_STREAM on stream 0", reset(0, CANCEL), BROKEN),
    ("6.4", "RST_STREAM of 3 bytes", WAITING + frame(wire.RST_STREAM, 0, 1, bytes(3)), SIZE),
    ("6.4", "RST_STREAM of 5 bytes", WAITING + frame(wire.RST_STREAM, 0, 1, bytes(5)), SIZE),
    ("6.6", "PUSH_PROMISE", WAITING + frame(wire.PUSH_PROMISE, 4, 1, struct.pack(">I", 2) + FIELDS), BROKEN),
    ("6.7", "PING on a stream", frame(wire.PING, 0, 1, bytes(8)), BROKEN),
    ("6.7", "PING of 7 bytes", frame(wire.PING, payload=bytes(7)), SIZE),
    ("6.7", "an acknowledgement of nothing", frame(wire.PING, wire.ACK, payload=bytes(8)), ignored),
    ("6.8", "GOAWAY on a stream", frame(wire.GOAWAY, 0, 1, bytes(8)), BROKEN),
    ("6.8", "GOAWAY of 7 bytes", frame(wire.GOAWAY, payload=bytes(7)), SIZE),
    ("7", "RST_STREAM with an unknown code", WAITING + reset(1, 0xFF) + asked(3), answered(3)),
)
async def test_resets_pings_and_goaways(frames, expected):
    await check_server(frames, expected)


@table(
    ("6.5", "on a stream", settings(stream=1), BROKEN),
    ("6.5", "an acknowledgement with settings", settings((4, 1), flags=wire.ACK), SIZE),
    ("6.5", "half a setting", frame(wire.SETTINGS, payload=bytes(3)), SIZE),
    ("6.5.2", "ENABLE_PUSH of 2", settings((2, 2)), BROKEN),
    ("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", settings((4, 2**31)), connection_error(FLOW_CONTROL_ERROR)),
    ("6.5.2", "MAX_FRAME_SIZE of 2^14-1", settings((5, 2**14 - 1)), BROKEN),
    ("6.5.2", "MAX_FRAME_SIZE of 2^24", settings((5, 2**24)), BROKEN),
    ("6.5.2", "an unknown setting", settings((0xFA, 7)) + asked(), answered(1)),
    ("6.5.3", "values in their order", settings((4, 0), (4, 100)) + asked(), answered(1)),
)
async def test_settings(frames, expected):
    await check_server(frames, expected)


async def test_each_settings_frame_is_acknowledged():
    """Section 6.5.3."""
    async with serving() as (port, _, _), raw(port) as (reader, writer):
        outcome = await outcome_of(reader, writer, settings((1, 100)) + settings())
        acknowledged = [sent for sent in outcome.frames if sent[:2] == (wire.SETTINGS, wire.ACK)]
        assert acknowledged == [(wire.SETTINGS, wire.ACK, 0, b"")] * 3


async def test_a_client_that_says_goodbye_gets_its_answer():
    """Section 6.8: streams under way go on. The error code, unknown here, does not matter (section 7)."""
    async with serving() as (port, handlers, _), raw(port) as (reader, writer):
        writer.write(WAITING + goaway(0, 0xFF))
        await handlers.began.wait()
        handlers.go.set()
        assert (await outcome_of(reader, writer, b"", ends=[(1, False)])).body() == message(b"x")
