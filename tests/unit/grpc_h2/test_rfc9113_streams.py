# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 9113, sections 5 and 6.9, by frames against our server: states of streams, priorities, windows."""

from tests import raw_http2 as wire
from tests.echo_server import GATHER, WAIT, serving
from tests.raw_http2 import frame, message, raw, reset
from tests.rfc9113 import (
    BODY,
    CANCEL,
    FIELDS,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    MAX_STREAMS,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    STREAM_WINDOW,
    answered,
    asked,
    check_server,
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

BROKEN, WINDOW, SIZE = (connection_error(code) for code in (PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR))
REFUSED = stream_error(PROTOCOL_ERROR, REFUSED_STREAM, stream=2 * MAX_STREAMS + 1)
# Its request is complete, its reply is not.
WAITING = asked(path=WAIT)
ABORTED = WAITING + reset(1, CANCEL)
IDS = range(1, 2 * MAX_STREAMS + 2, 2)


@table(
    ("5.1", "idle: DATA", data(), BROKEN),
    ("5.1", "idle: RST_STREAM", reset(1, CANCEL), BROKEN),
    ("5.1", "idle: WINDOW_UPDATE", update(1, 1), BROKEN),
    ("5.1", "idle: CONTINUATION", continuation(FIELDS), BROKEN),
    ("5.1", "idle: PRIORITY", priority() + asked(), answered(1)),
    ("5.1", "half-closed: DATA", WAITING + data(), stream_error(STREAM_CLOSED)),
    ("5.1", "half-closed: HEADERS", WAITING + headers(FIELDS, 5), stream_error(STREAM_CLOSED)),
    ("5.1", "half-closed: WINDOW_UPDATE", WAITING + update(1, 1), ignored),
    ("5.1", "half-closed: PRIORITY", WAITING + priority(), ignored),
    ("5.1", "half-closed: RST_STREAM", ABORTED, ignored),
    ("5.1", "closed: PRIORITY", ABORTED + priority(), ignored),
    # An endpoint may treat these as an error, and may ignore them.
    ("5.1", "closed: DATA", ABORTED + data() + asked(3), answered(3)),
    ("5.1", "closed: HEADERS", ABORTED + headers(FIELDS, 5) + asked(3), answered(3)),
    ("5.1.1", "an even id", asked(2), BROKEN),
    # The RFC asks for a connection error. nghttp2 takes the stream for a closed one: ids that are left out close.
    ("5.1.1", "an id lower than the last", asked(3) + asked(1) + asked(5), answered(3, 5)),
    ("5.1.1", "ids that are left out", asked(7) + asked(101), answered(7, 101)),
    ("5.1.2", "one stream too many", b"".join(asked(stream, path=WAIT) for stream in IDS), REFUSED),
    ("5.1.2", "streams in turn", b"".join(asked(n, path=WAIT) + reset(n, CANCEL) for n in IDS), ignored),
)
async def test_states_of_streams(frames, expected):
    await check_server(frames, expected)


@table(
    # Priorities are deprecated (5.3.2); of PRIORITY only its form matters, and nghttp2 does not look at that either.
    ("5.3", "a stream that depends on itself", priority(1, 1) + asked(), answered(1)),
    ("5.3", "HEADERS with a priority", headers(bytes(5) + FIELDS, 4 | wire.WITH_PRIORITY) + data(), answered(1)),
    ("6.3", "PRIORITY on stream 0", priority(0) + asked(), answered(1)),
    ("6.3", "PRIORITY of 4 bytes", WAITING + frame(wire.PRIORITY, 0, 1, bytes(4)), stream_error(FRAME_SIZE_ERROR)),
)
async def test_priorities(frames, expected):
    await check_server(frames, expected)


@table(
    ("6.9", "an increment of 0", update(0), BROKEN),
    ("6.9", "an increment of 0 on a stream", WAITING + update(0, 1), stream_error(PROTOCOL_ERROR)),
    ("6.9", "WINDOW_UPDATE of 3 bytes", frame(wire.WINDOW_UPDATE, payload=bytes(3)), SIZE),
    ("6.9.1", "a connection's window of 2^31", update(2**31 - 1), WINDOW),
    ("6.9.1", "a stream's window of 2^31", WAITING + update(2**31 - 1, 1), stream_error(FLOW_CONTROL_ERROR)),
    ("6.9.2", "a stream's window of 2^31 by SETTINGS", WAITING + update(2**30, 1) + settings((4, 2**30)), WINDOW),
)
async def test_window_updates(frames, expected):
    await check_server(frames, expected)


async def handshake(port_reader, writer):
    """Until the server's settings are in force."""
    await wire.frames(port_reader, until=wire.SETTINGS)
    writer.write(settings(flags=wire.ACK))


def unread(stream, size):
    """So many bytes of messages, for a handler that does not read."""
    part = data(message(bytes(PART_BYTES - 5)), 0, stream)
    return asked(stream, path=GATHER, end=False) + part * (size // PART_BYTES)


PART_BYTES = 16 * 1024
# What is not read stays beyond 64 KiB without new credit.
KEPT = STREAM_WINDOW


@table(
    ("6.9", "within a stream's window", unread(1, KEPT), ignored),
    ("6.9", "beyond a stream's window", unread(1, 2 * STREAM_WINDOW), stream_error(FLOW_CONTROL_ERROR)),
    ("6.9", "within a connection's window", b"".join(unread(2 * n + 1, KEPT) for n in range(20)), ignored),
)
async def test_data_that_nobody_reads(frames, expected):
    async with serving(max_streams=100) as (port, _, _), raw(port) as (reader, writer):
        await handshake(reader, writer)
        expected(await outcome_of(reader, writer, frames))


async def received(reader, size):
    """DATA until there are so many bytes of it."""
    body = b""
    while len(body) < size:
        body += (await wire.frames(reader, until=wire.DATA))[-1][3]
    return body


async def test_a_window_of_one_byte():
    """Section 6.9.1: no more than there is room for."""
    async with serving() as (port, _, _), raw(port) as (reader, writer):
        writer.write(settings((4, 1)) + asked())
        for byte in BODY[:-1]:
            assert await received(reader, 1) == bytes([byte])
            assert (await outcome_of(reader, writer, b"")).body() == b""
            writer.write(update(1, 1))
        assert await received(reader, 1) == BODY[-1:]
        assert (await wire.frames(reader, until=wire.HEADERS))[-1][1] & wire.END_STREAM


async def test_a_negative_window():
    """Section 6.9.2: SETTINGS change the windows of open streams, below zero too."""
    async with serving() as (port, _, _), raw(port) as (reader, writer):
        writer.write(settings((4, 3)) + asked())
        assert await received(reader, 3) == BODY[:3]
        # Three bytes were sent: the window is -2 now, then 0, and then 1.
        assert (await outcome_of(reader, writer, settings((4, 1)) + update(2, 1))).body() == b""
        writer.write(update(1, 1))
        assert await received(reader, 1) == BODY[3:4]
        writer.write(settings((4, 100)))
        assert await received(reader, 1) == BODY[4:]
