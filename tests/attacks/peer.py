# SPDX-License-Identifier: GPL-3.0-or-later
"""One hostile connection, and what attacks have in common."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from orrery.inference import v1
from tests import raw_http2 as wire
from tests.objects import eros

UNARY = b"/orrery.inference.v1.AnomalyService/ScoreAnomalies"
COLUMNS = b"/orrery.inference.v1.AnomalyService/ScoreAnomalyColumns"
STREAM = b"/orrery.inference.v1.AnomalyService/StreamScoreAnomalies"
WINDOW_UPDATE, CONTINUATION, PRIORITY = 8, 9, 2
INITIAL_WINDOW_SIZE = 4
CANCEL = 8
# Streams that a connection of the attacker opens at a time.
AT_ONCE = 200

QUESTION = wire.message(v1.ScoreAnomaliesRequest(objects=[eros()]).SerializeToString())


def columns(rows: int) -> bytes:
    """A question about so many objects."""
    orbits = v1.OrbitColumns()
    for field, value in eros().elements.ListFields():
        # The models do not look at where on its orbit an object is.
        if field.name in orbits.DESCRIPTOR.fields_by_name:
            getattr(orbits, field.name).extend([value] * rows)
    orbits.absolute_magnitude_h.extend([10.4] * rows)
    return v1.ScoreAnomalyColumnsRequest(orbits=orbits).SerializeToString()


def data(stream: int, body: bytes, *, end: bool = False) -> bytes:
    """A body as DATA frames of 16,000 bytes."""
    starts = range(0, len(body), 16_000)
    return b"".join(
        wire.frame(
            wire.DATA,
            wire.END_STREAM if end and start + 16_000 >= len(body) else 0,
            stream,
            body[start : start + 16_000],
        )
        for start in starts
    )


class Peer:
    """One hostile connection.

    Attributes:
        port: of the server, for attacks that open more connections.
        sent_bytes: that the server has taken, or its socket.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self.reader, self.writer, self.port = reader, writer, port
        self.sent_bytes = 0
        self._next = 1
        # What the server has granted, by stream; stream 0 is the connection.
        self._granted = dict.fromkeys((0,), 65_535)
        self._stream_window = 65_535
        self._used: dict[int, int] = {}

    def stream(self) -> int:
        """The id of a new stream."""
        self._next += 2
        return self._next - 2

    def granted(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Take a frame of the server's that may grant credit."""
        if kind == WINDOW_UPDATE:
            self._granted[stream] = self._granted.get(stream, 0) + int.from_bytes(payload)
        elif kind == wire.SETTINGS and not flags:
            for start in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[start : start + 6])
                if name == INITIAL_WINDOW_SIZE:
                    self._stream_window = value

    def credit(self, stream: int) -> int:
        """Bytes that may be sent on a stream, and that are used up by asking."""
        size = min(
            self._granted[0] - self._used.get(0, 0),
            self._stream_window + self._granted.get(stream, 0) - self._used.get(stream, 0),
        )
        for account in (0, stream):
            self._used[account] = self._used.get(account, 0) + size
        return size

    async def send(self, content: bytes) -> None:
        """Write, and wait while the server does not read."""
        self.writer.write(content)
        await self.writer.drain()
        self.sent_bytes += len(content)


@dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes:
        act: yields what one connection writes.
        connections: at a time.
        reads: whether answers are read.
        settings: payload of the first SETTINGS frame.
        greets: whether the connection begins with the preface.
        breaks_rules: whether the server has to end its connections.
    """

    act: Callable[[Peer], AsyncIterator[bytes]]
    connections: int = 1
    reads: bool = True
    settings: bytes = b""
    greets: bool = True
    breaks_rules: bool = False
