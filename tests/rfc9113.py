# SPDX-License-Identifier: GPL-3.0-or-later
"""For tables of RFC 9113's rules: frames to send, and the kinds of error that may follow (section 5.4)."""

import asyncio
import struct
from dataclasses import dataclass

import pytest

from tests import raw_http2 as wire
from tests.echo_server import ECHO, serving, until
from tests.raw_http2 import block, frame, message, raw, request

# Section 7.
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(6, 10)

# What ours advertise: the largest frame, and received bytes of a stream.
MAX_FRAME_BYTES, STREAM_WINDOW = 128 * 1024, 256 * 1024
MAX_STREAMS = 5

# Of no type that is known.
EXTENSION = 0xFA
BODY = message(b"x")
ASKED = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", ECHO.encode()), (b":authority", b"here")]
GRPC = [(b"te", b"trailers"), (b"content-type", b"application/grpc")]
FIELDS = block(*ASKED, *GRPC)
_PROBE = b"answered"


def asked(stream=1, *, path=ECHO, end=True):
    """A whole request, or the headers of one."""
    return request(stream, path.encode(), body=BODY if end else b"", end=end)


def headers(payload, flags=wire.END_HEADERS, stream=1):
    """HEADERS, without END_STREAM unless flags say so."""
    return frame(wire.HEADERS, flags, stream, payload)


def data(payload=BODY, flags=wire.END_STREAM, stream=1):
    """DATA, with END_STREAM unless flags say otherwise."""
    return frame(wire.DATA, flags, stream, payload)


def continuation(payload, flags=wire.END_HEADERS, stream=1):
    """CONTINUATION, the last one unless flags say otherwise."""
    return frame(wire.CONTINUATION, flags, stream, payload)


def priority(stream=1, depends_on=0):
    """PRIORITY."""
    return frame(wire.PRIORITY, 0, stream, struct.pack(">IB", depends_on, 15))


def update(increment, stream=0):
    """WINDOW_UPDATE."""
    return frame(wire.WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def settings(*pairs, flags=0, stream=0):
    """SETTINGS."""
    return frame(wire.SETTINGS, flags, stream, b"".join(struct.pack(">HI", *pair) for pair in pairs))


@dataclass(frozen=True)
class Outcome:
    """How a peer reacted.

    Attributes:
        goaway: error code of its last GOAWAY; None without one.
        resets: error codes of its RST_STREAM frames, by stream.
        is_open: whether it answered a PING at the end.
        frames: all that it sent.
    """

    goaway: int | None
    resets: dict[int, int]
    is_open: bool
    frames: list

    def body(self, stream=1):
        """The bytes of a stream's DATA."""
        return b"".join(payload for kind, _, of, payload in self.frames if (kind, of) == (wire.DATA, stream))

    def is_answered(self, stream):
        """Whether a call of ECHO was answered."""
        last = wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, stream
        return self.body(stream) == BODY and last in [sent[:3] for sent in self.frames]


async def outcome_of(reader, writer, sent, *, ends=()):
    """Send bytes and then a PING; read until it is acknowledged and these streams have ended, or the connection has.

    Args:
        reader: of the connection.
        writer: of the connection.
        sent: the bytes.
        ends: (stream, whether by RST_STREAM) to wait for.
    """
    writer.write(sent + frame(wire.PING, payload=_PROBE))
    frames, acknowledged, waiting = [], False, set(ends)
    async with asyncio.timeout(3):
        while (not acknowledged or waiting) and (came := await wire.next_frame(reader)) is not None:
            frames.append(came)
            kind, flags, stream, payload = came
            acknowledged |= (kind, flags, payload) == (wire.PING, wire.ACK, _PROBE)
            if kind == wire.RST_STREAM or (kind in {wire.DATA, wire.HEADERS} and flags & wire.END_STREAM):
                waiting.discard((stream, kind == wire.RST_STREAM))
    goaways = [struct.unpack(">I", payload[4:8])[0] for kind, _, _, payload in frames if kind == wire.GOAWAY]
    resets = {stream: int.from_bytes(payload) for kind, _, stream, payload in frames if kind == wire.RST_STREAM}
    return Outcome(goaways[-1] if goaways else None, resets, acknowledged, frames)


async def check_server(frames, expected, *, greet=True):
    """Our server's reaction is the expected one, and the next connection is served."""
    async with serving(max_streams=MAX_STREAMS) as (port, _, server):
        async with raw(port, greet=greet) as (reader, writer):
            if greet:
                # Its settings are in force when they are acknowledged.
                await wire.frames(reader, until=wire.SETTINGS)
                writer.write(settings(flags=wire.ACK))
            expected(await outcome_of(reader, writer, frames, ends=getattr(expected, "ends", ())))
        async with raw(port) as (reader, writer):
            assert (await outcome_of(reader, writer, asked(), ends=[(1, False)])).is_answered(1)
        await until(lambda: server.served == 0)


def connection_error(*codes):
    """Section 5.4.1: GOAWAY with one of these codes, and the end of the connection."""

    def check(outcome):
        assert (outcome.is_open, outcome.goaway in codes) == (False, True), outcome

    return check


def stream_error(*codes, stream=1):
    """Section 5.4.2: RST_STREAM with one of these codes; a connection error instead is allowed."""

    def check(outcome):
        if outcome.is_open:
            assert (outcome.resets.get(stream) in codes, outcome.goaway) == (True, None), outcome
        else:
            assert outcome.goaway in codes, outcome

    check.ends = [(stream, True)]
    return check


def ignored(outcome):
    """No error of any kind."""
    assert (outcome.is_open, outcome.goaway) == (True, None), outcome
    assert not set(outcome.resets.values()) - {NO_ERROR}, outcome


def answered(*streams):
    """No error, and a reply on these streams."""

    def check(outcome):
        ignored(outcome)
        assert all(outcome.is_answered(stream) for stream in streams), outcome

    check.ends = [(stream, False) for stream in streams]
    return check


def closed(outcome):
    """The connection has ended."""
    assert not outcome.is_open


def table(*rows):
    """A parametrised table of rules: (section, what is sent, frames, what follows)."""
    return pytest.mark.parametrize(
        ("frames", "expected"), [pytest.param(*row[2:], id=f"{row[0]}-{row[1]}".replace(" ", "-")) for row in rows]
    )
