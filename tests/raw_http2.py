# SPDX-License-Identifier: GPL-3.0-or-later
"""A client, and a server, that speak HTTP/2 as badly as a test wants: frames by hand."""

import asyncio
import contextlib
import struct
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
ACK = END_STREAM = 1
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 32


def frame(kind, flags=0, stream=0, payload=b""):
    """A frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Frame(NamedTuple):
    """A frame; its length is the payload's unless it says otherwise."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    length: int | None = None

    def encode(self):
        """Its bytes."""
        length = len(self.payload) if self.length is None else self.length
        return length.to_bytes(3) + struct.pack(">BBI", *self[:3]) + self.payload


def split(data):
    """The frames of some bytes."""
    while data:
        size = 9 + int.from_bytes(data[:3])
        yield Frame(*struct.unpack(">BBI", data[3:9]), data[9:size])
        data = data[size:]


def block(*headers):
    """Headers without compression, each a literal that is not indexed (RFC 7541, 6.2.2)."""
    return b"".join(b"\x00" + text(name) + text(value) for name, value in headers)


def request(stream, method, *more, body=b"", end=True, verb=b"POST", content_type=b"application/grpc"):
    """A gRPC request, or almost one."""
    headers = block(
        (b":method", verb),
        (b":scheme", b"http"),
        (b":path", method),
        (b":authority", b"here"),
        (b"te", b"trailers"),
        (b"content-type", content_type),
        *more,
    )
    last = END_STREAM if end and not body else 0
    said = frame(HEADERS, END_HEADERS | last, stream, headers)
    return said + frame(DATA, END_STREAM if end else 0, stream, body) if body else said


def message(content, *, compressed=0):
    """With its prefix."""
    return struct.pack(">BI", compressed, len(content)) + content


@contextlib.asynccontextmanager
async def raw(port, *, greet=True, settings=b""):
    """A connection: (reader, writer)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if greet:
            writer.write(PREFACE + frame(SETTINGS, payload=settings))
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def next_frame(reader):
    """(kind, flags, stream, payload); None at the end."""
    try:
        head = await reader.readexactly(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream, await reader.readexactly(int.from_bytes(head[:3]))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None


async def frames(reader, *, until):
    """Frames until one of a kind has come, or the end."""
    came = []
    async with asyncio.timeout(10):
        while (sent := await next_frame(reader)) is not None:
            came.append(sent)
            if sent[0] == until:
                break
    return came


def text(value):
    """A string of HPACK, not Huffman-coded (RFC 7541, 5.2)."""
    size = len(value)
    if size < 127:
        return bytes([size]) + value
    said, size = b"\x7f", size - 127
    while size >= 128:
        said += bytes([size % 128 + 128])
        size //= 128
    return said + bytes([size]) + value


# A server.

# What opens windows: settings for those of streams, and a frame for the connection's.
WIDE = struct.pack(">HI", 4, 2**31 - 1)
OPEN = frame(8, payload=struct.pack(">I", 2**30))


@contextlib.asynccontextmanager
async def raw_server(*scripts, greet=True, settings=b"", port=0):
    """The port of a server: each connection follows its `async script(reader, writer)`, later ones the last."""
    following, waiting = set(), list(scripts)

    async def follow(reader, writer):
        following.add(asyncio.current_task())
        script = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if greet:
                await reader.readexactly(len(PREFACE))
                writer.write(frame(SETTINGS, payload=settings))
            await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(follow, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in following:
            task.cancel()
        await asyncio.gather(*following)


async def asked(reader):
    """The name of the next stream that a client begins; None where it leaves."""
    last = (await frames(reader, until=HEADERS) or [(None, 0, None, b"")])[-1]
    return last[2] if last[0] == HEADERS else None


def response(stream, *more, status=b"200", content_type=b"application/grpc", end=False):
    """What an answer begins with, or all of it."""
    headers = block((b":status", status), (b"content-type", content_type), *more)
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, headers)


def trailers(stream, *headers):
    """What an answer ends with."""
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block(*headers))


def answer(stream, content):
    """A whole answer of one message."""
    said = response(stream) + frame(DATA, 0, stream, message(content))
    return said + trailers(stream, (b"grpc-status", b"0"))


def goaway(last, code=0):
    """No more than the last stream will be looked at."""
    return frame(GOAWAY, payload=struct.pack(">II", last, code))


def reset(stream, code):
    """An end of a stream."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))
