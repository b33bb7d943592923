# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by calls: begun, reset, unfinished, unread."""

import asyncio
import gzip
import struct
from collections.abc import AsyncIterator

from orrery.inference import v1
from tests import raw_http2 as wire
from tests.attacks.peer import (
    AT_ONCE,
    CANCEL,
    COLUMNS,
    QUESTION,
    STREAM,
    UNARY,
    WINDOW_UPDATE,
    Attack,
    Peer,
    columns,
    data,
)
from tests.objects import eros


async def rapid_resets(peer: Peer) -> AsyncIterator[bytes]:
    """Streams that are opened and reset (CVE-2023-44487)."""
    while True:
        ids = [peer.stream() for _ in range(AT_ONCE)]
        yield b"".join(wire.request(stream, UNARY, end=False) + wire.reset(stream, CANCEL) for stream in ids)


async def call_resets(peer: Peer) -> AsyncIterator[bytes]:
    """Whole calls that are reset at once."""
    while True:
        ids = [peer.stream() for _ in range(AT_ONCE)]
        yield b"".join(wire.request(stream, UNARY, body=QUESTION) + wire.reset(stream, CANCEL) for stream in ids)


async def made_to_reset(peer: Peer) -> AsyncIterator[bytes]:
    """Window updates of zero, which make the server reset whole calls (CVE-2025-8671)."""
    zero = struct.pack(">I", 0)
    while True:
        ids = [peer.stream() for _ in range(AT_ONCE)]
        yield b"".join(
            wire.request(stream, UNARY, body=QUESTION) + wire.frame(WINDOW_UPDATE, 0, stream, zero) for stream in ids
        )


async def bombs(peer: Peer) -> AsyncIterator[bytes]:
    """Twenty messages a second, each 16 MB of zeros in 16 KB."""
    packed = wire.message(gzip.compress(bytes(16 * 1024 * 1024 - 1000), mtime=0), compressed=1)
    while True:
        yield wire.request(peer.stream(), UNARY, (b"grpc-encoding", b"gzip"), body=packed)
        await asyncio.sleep(0.05)


async def expired(peer: Peer) -> AsyncIterator[bytes]:
    """Calls with a deadline of a second, whose answers nobody reads."""
    body = wire.message(v1.ScoreAnomaliesRequest(objects=[eros()] * 50, explain=True).SerializeToString())
    while True:
        yield wire.request(peer.stream(), UNARY, (b"grpc-timeout", b"1S"), body=body)
        await asyncio.sleep(0.2)


async def unread_streams(peer: Peer) -> AsyncIterator[bytes]:
    """Streams of columns that are written and never read."""
    body = wire.message(columns(1_000))
    ids = [peer.stream() for _ in range(24)]
    yield b"".join(wire.request(stream, STREAM, end=False) for stream in ids)
    # As much as the windows take; the server's credit is not read either.
    for stream in ids:
        yield data(stream, (body * 4)[:250_000])
    await asyncio.sleep(3600)


async def unread_answers(peer: Peer) -> AsyncIterator[bytes]:
    """Streams of columns that are written as quickly as they are read, and whose answers have no window."""
    body = wire.message(columns(1_000))
    ids = [peer.stream() for _ in range(24)]
    yield b"".join(wire.request(stream, STREAM, end=False) for stream in ids)
    written = dict.fromkeys(ids, 0)
    while True:
        for stream in ids:
            start, size = written[stream] % len(body), peer.credit(stream)
            written[stream] += size
            yield data(stream, (body * (2 + size // len(body)))[start : start + size])
        await asyncio.sleep(0.02)


async def tiny_messages(peer: Peer) -> AsyncIterator[bytes]:
    """Empty messages on streams whose answers nobody reads."""
    ids = [peer.stream() for _ in range(24)]
    yield b"".join(wire.request(stream, STREAM, end=False) for stream in ids)
    body = wire.message(b"") * 3_000
    # The window of a stream is 64 KiB at least.
    for _ in range(4):
        for stream in ids:
            yield wire.frame(wire.DATA, 0, stream, body)
    await asyncio.sleep(3600)


async def half_open(peer: Peer) -> AsyncIterator[bytes]:
    """As many calls as the server takes, none of which is ever finished."""
    while True:
        yield b"".join(wire.request(peer.stream(), UNARY, end=False) for _ in range(100))
        await asyncio.sleep(0.1)


async def half_messages(peer: Peer) -> AsyncIterator[bytes]:
    """Calls that announce 15 MB, send some of it, and wait."""
    begun = struct.pack(">BI", 0, 15_000_000) + bytes(60_000)
    while True:
        ids = [peer.stream() for _ in range(20)]
        for stream in ids:
            yield wire.request(stream, UNARY, end=False) + data(stream, begun)
        await asyncio.sleep(0.1)


async def large_unfinished(peer: Peer) -> AsyncIterator[bytes]:
    """Calls that announce 15 MB and send all that the server's windows take, with an end that never comes."""
    ids = [peer.stream() for _ in range(50)]
    body, sent = struct.pack(">BI", 0, 15_000_000) + bytes(14_900_000), dict.fromkeys(ids, 0)
    for stream in ids:
        yield wire.request(stream, UNARY, end=False)
    while True:
        for stream in ids:
            size = min(len(body) - sent[stream], peer.credit(stream))
            yield data(stream, body[sent[stream] : sent[stream] + size])
            sent[stream] += size
        await asyncio.sleep(0.02)


async def large_answers(peer: Peer) -> AsyncIterator[bytes]:
    """Whole calls of 100 KB whose answers of 15 KB nobody reads."""
    body = wire.message(columns(1_000))
    while True:
        ids = [peer.stream() for _ in range(20)]
        yield b"".join(wire.request(stream, COLUMNS, end=False) + data(stream, body, end=True) for stream in ids)
        await asyncio.sleep(0.1)


async def packed_answers(peer: Peer) -> AsyncIterator[bytes]:
    """Calls of 2 MB in a few KB, whose answers nobody reads."""
    packed = wire.message(gzip.compress(columns(20_000), mtime=0), compressed=1)
    while True:
        stream = peer.stream()
        yield wire.request(stream, COLUMNS, (b"grpc-encoding", b"gzip"), end=False) + data(stream, packed, end=True)
        await asyncio.sleep(0.1)


async def slow_read(peer: Peer) -> AsyncIterator[bytes]:
    """Answers that are read byte by byte."""
    ids = [peer.stream() for _ in range(AT_ONCE)]
    yield b"".join(wire.request(stream, UNARY, body=QUESTION) for stream in ids)
    one = struct.pack(">I", 1)
    while True:
        yield b"".join(wire.frame(WINDOW_UPDATE, 0, stream, one) for stream in ids)
        await asyncio.sleep(0.1)


async def closed_windows(peer: Peer) -> AsyncIterator[bytes]:
    """Calls whose answers have no window, reset when they are ready."""
    while True:
        ids = [peer.stream() for _ in range(AT_ONCE)]
        yield b"".join(wire.request(stream, UNARY, body=QUESTION) for stream in ids)
        await asyncio.sleep(0.2)
        yield b"".join(wire.reset(stream, CANCEL) for stream in ids)


async def no_time(peer: Peer) -> AsyncIterator[bytes]:
    """Calls with a deadline of a nanosecond."""
    while True:
        ids = [peer.stream() for _ in range(50)]
        yield b"".join(wire.request(stream, UNARY, (b"grpc-timeout", b"1n"), body=QUESTION) for stream in ids)
        await asyncio.sleep(0.01)


async def empty_calls(peer: Peer) -> AsyncIterator[bytes]:
    """Calls that are refused for what they lack, as quickly as they go."""
    while True:
        ids = [peer.stream() for _ in range(50)]
        yield b"".join(
            wire.request(stream, UNARY, end=False) + wire.frame(wire.DATA, wire.END_STREAM, stream) for stream in ids
        )


async def questions(peer: Peer) -> AsyncIterator[bytes]:
    """Proper calls, as quickly as they are read."""
    while True:
        ids = [peer.stream() for _ in range(50)]
        yield b"".join(wire.request(stream, UNARY, body=QUESTION) for stream in ids)


async def encoded_metadata(peer: Peer) -> AsyncIterator[bytes]:
    """Metadata of the largest size, in percent signs and base64."""
    much = ((b"x-percent", b"%41" * 2_500), (b"x-bytes-bin", b"QUJD" * 1_800))
    while True:
        ids = [peer.stream() for _ in range(10)]
        yield b"".join(wire.request(stream, UNARY, *much, body=QUESTION) for stream in ids)
        await asyncio.sleep(0.02)


async def packed_nothing(peer: Peer) -> AsyncIterator[bytes]:
    """Streams of empty messages, each of them compressed."""
    nothing = wire.message(gzip.compress(b"", mtime=0), compressed=1)
    ids = [peer.stream() for _ in range(20)]
    yield b"".join(wire.request(stream, STREAM, (b"grpc-encoding", b"gzip"), end=False) for stream in ids)
    while True:
        for stream in ids:
            yield wire.frame(wire.DATA, 0, stream, nothing * 100)
        await asyncio.sleep(0.05)


async def open_streams(peer: Peer) -> AsyncIterator[bytes]:
    """Streams that are opened, and nothing more."""
    for _ in range(10):
        yield b"".join(wire.request(peer.stream(), STREAM, end=False) for _ in range(90))
        await asyncio.sleep(0.05)
    await asyncio.sleep(3600)


async def watches(peer: Peer) -> AsyncIterator[bytes]:
    """Streams of health and reflection."""
    for _ in range(9):
        yield b"".join(
            wire.request(peer.stream(), b"/grpc.health.v1.Health/Watch", body=wire.message(b""))
            + wire.request(peer.stream(), b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", end=False)
            for _ in range(50)
        )
        await asyncio.sleep(0.05)
    await asyncio.sleep(3600)


async def descriptions(peer: Peer) -> AsyncIterator[bytes]:
    """Questions to reflection whose answers nobody reads."""
    ask = wire.message(b"\x22\x29orrery.inference.v1.ScoreAnomaliesRequest")
    ids = [peer.stream() for _ in range(50)]
    path = b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    yield b"".join(wire.request(stream, path, end=False) for stream in ids)
    for _ in range(20):
        for stream in ids:
            yield wire.frame(wire.DATA, 0, stream, ask * 50)
    await asyncio.sleep(3600)


async def half_closed(peer: Peer) -> AsyncIterator[bytes]:
    """Calls on sockets whose sending side is closed at once."""
    while True:
        ids = [peer.stream() for _ in range(20)]
        yield b"".join(wire.request(stream, UNARY, body=QUESTION) for stream in ids)
        peer.writer.write_eof()
        await asyncio.sleep(1)
        return


_NO_WINDOW = struct.pack(">HI", 4, 0)
_TINY_WINDOW = struct.pack(">HI", 4, 1)

ATTACKS = {
    "rapid_resets": Attack(rapid_resets, breaks_rules=True),
    "call_resets": Attack(call_resets, breaks_rules=True),
    "made_to_reset": Attack(made_to_reset, breaks_rules=True),
    "bombs": Attack(bombs, 10),
    "expired": Attack(expired, 4, reads=False),
    "unread_streams": Attack(unread_streams, 10, reads=False),
    "unread_answers": Attack(unread_answers, 10, settings=_NO_WINDOW),
    "tiny_messages": Attack(tiny_messages, 10, reads=False),
    "half_open": Attack(half_open, 10),
    "half_messages": Attack(half_messages, 10),
    "large_unfinished": Attack(large_unfinished, 10),
    "large_answers": Attack(large_answers, 10, reads=False),
    "packed_answers": Attack(packed_answers, 10, reads=False),
    "slow_read": Attack(slow_read, 10, settings=_TINY_WINDOW),
    "closed_windows": Attack(closed_windows, 4, settings=_NO_WINDOW),
    "no_time": Attack(no_time, 4),
    "empty_calls": Attack(empty_calls),
    "questions": Attack(questions, 4),
    "encoded_metadata": Attack(encoded_metadata, 4),
    "packed_nothing": Attack(packed_nothing, 4),
    "open_streams": Attack(open_streams, 10),
    "watches": Attack(watches, 4),
    "descriptions": Attack(descriptions, 4, reads=False),
    "half_closed": Attack(half_closed, 10),
}
