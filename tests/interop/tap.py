# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy of TCP that shows which gRPC messages passed, and which of them were compressed."""

import asyncio
import contextlib
import struct

from tests.echo_server import until
from tests.raw_http2 import DATA, PADDED, PREFACE, split


class Tap:
    """Keeps the bytes of both directions, for each connection."""

    def __init__(self, server_port):
        self.port, self.server_port = 0, server_port
        self.connections, self.ends, self.connecting = [], set(), set()

    def messages(self):
        """(requests, replies) so far, each a list of (compressed, bytes) in the order of streams."""
        there, back = [], []
        for client, server in self.connections:
            there += _messages(bytes(client.received).removeprefix(PREFACE))
            back += _messages(bytes(server.received))
        return there, back


class _End(asyncio.Protocol):
    """One end of a connection; what it receives goes to the other end."""

    def __init__(self, tap, other=None):
        self.received, self.transport = bytearray(), None
        self._tap, self._other = tap, other

    def connection_made(self, transport):
        self.transport = transport
        self._tap.ends.add(self)
        if self._other is None:
            self._tap.connecting.add(asyncio.ensure_future(self._connect()))
        else:
            self._tap.connections.append((self._other, self))
            transport.write(bytes(self._other.received))

    async def _connect(self):
        self._other = _End(self._tap, self)
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().create_connection(lambda: self._other, "127.0.0.1", self._tap.server_port)

    def data_received(self, data):
        self.received += data
        if self._other is not None and self._other.transport is not None:
            self._other.transport.write(data)

    def connection_lost(self, _error):
        self._tap.ends.discard(self)
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


@contextlib.asynccontextmanager
async def tapped(server_port):
    """A tap before a server."""
    tap = Tap(server_port)
    listening = await asyncio.get_running_loop().create_server(lambda: _End(tap), "127.0.0.1", 0)
    tap.port = listening.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        listening.close()
        await asyncio.gather(*tap.connecting)
        for end in list(tap.ends):
            end.transport.abort()
        await until(lambda: not tap.ends)


def _messages(data):
    """The messages in the DATA frames of one direction."""
    bodies = {}
    for frame in split(data):
        if frame.kind == DATA:
            padding = frame.payload[0] if frame.flags & PADDED else None
            part = frame.payload if padding is None else frame.payload[1 : len(frame.payload) - padding]
            bodies[frame.stream] = bodies.get(frame.stream, b"") + part
    found = []
    for _, body in sorted(bodies.items()):
        at = 0
        while len(body) - at >= 5:
            compressed, size = struct.unpack(">BI", body[at : at + 5])
            found.append((bool(compressed), size))
            at += 5 + size
    return found
