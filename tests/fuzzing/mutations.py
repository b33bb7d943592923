# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutations of exchanges, as hypothesis draws and shrinks them."""

import struct
from dataclasses import dataclass

from hypothesis import strategies as st

from tests import raw_http2 as wire
from tests.raw_http2 import Frame, block

MOST_PIECES = 400
STREAMS = (0, 1, 2, 3, 5, 7, 201, 2**31 - 1)
# A field that replaces or follows the usual ones.
FIELDS = (
    (b":path", b""),
    (b":path", b"/no/method"),
    (b":method", b"GET"),
    (b":status", b"200"),
    (b":status", b"100"),
    (b":status", b"999"),
    (b"content-type", b"text/html"),
    (b"content-length", b"3"),
    (b"grpc-encoding", b"gzip"),
    (b"grpc-encoding", b"deflate"),
    (b"grpc-encoding", b"br"),
    (b"grpc-timeout", b"0n"),
    (b"grpc-timeout", b"1m"),
    (b"grpc-timeout", b"99999999H"),
    (b"grpc-timeout", b"-1S"),
    (b"grpc-status", b"0"),
    (b"grpc-status", b"99"),
    (b"grpc-status", b"x"),
    (b"grpc-message", b"%"),
    (b"grpc-message", b"%ff%zz"),
    (b"grpc-retry-pushback-ms", b"-1"),
    (b"grpc-retry-pushback-ms", b"10"),
    (b"x-bytes-bin", b"!"),
    (b"x-bytes-bin", b"AAAA,BB="),
    (b"x-text", b"\xff\xfe"),
    (b"x-text", bytes(2)),
    (b"te", b"gzip"),
    (b"connection", b"close"),
    (b"X-CAPITALS", b"1"),
    (b"x-long", b"y" * 20_000),
)
REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/fuzz.Fuzz/Chat"),
    (b":authority", b"here"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]
RESPONSE = [(b":status", b"200"), (b"content-type", b"application/grpc")]


def drop(frames, at, _number, _data):
    del frames[at]


def double(frames, at, _number, _data):
    frames.insert(at, frames[at])


def swap(frames, at, number, _data):
    other = number % len(frames)
    frames[at], frames[other] = frames[other], frames[at]


def kind(frames, at, number, _data):
    frames[at] = frames[at]._replace(kind=number % 16)


def flags(frames, at, number, _data):
    frames[at] = frames[at]._replace(flags=frames[at].flags ^ (1 << number % 8))


def stream(frames, at, number, _data):
    frames[at] = frames[at]._replace(stream=STREAMS[number % len(STREAMS)])


def cut(frames, at, number, _data):
    payload = frames[at].payload
    frames[at] = frames[at]._replace(payload=payload[: number % (len(payload) + 1)])


def flip(frames, at, number, _data):
    """A bit of the payload: of a header block, a message, a setting."""
    if payload := bytearray(frames[at].payload):
        payload[number // 8 % len(payload)] ^= 1 << number % 8
        frames[at] = frames[at]._replace(payload=bytes(payload))


def write(frames, at, number, data):
    """Bytes into the payload."""
    payload = bytearray(frames[at].payload)
    begin = number % (len(payload) + 1)
    payload[begin : begin + len(data)] = data
    frames[at] = frames[at]._replace(payload=bytes(payload))


def lie(frames, at, number, _data):
    """Another length than the payload's."""
    frames[at] = frames[at]._replace(length=max(0, len(frames[at].payload) + number % 64 - 32))


def pad(frames, at, number, _data):
    """Padding, right or too long."""
    payload = bytes([number % 8]) + frames[at].payload + bytes(number // 8 % 8)
    frames[at] = frames[at]._replace(flags=frames[at].flags | wire.PADDED, payload=payload)


def prefix(frames, at, number, _data):
    """Another prefix of a gRPC message."""
    sizes = (0, 1, 8, 100, 2**16, 2**24, 2**31, 2**32 - 1)
    head = struct.pack(">BI", number // 8 % 3, sizes[number % 8])
    frames[at] = frames[at]._replace(payload=head + frames[at].payload[5:])


def fields(frames, at, number, _data):
    """A header block with one other field, as a whole or as it goes on."""
    usual = (REQUEST, RESPONSE, [])[number % 3]
    changed = FIELDS[number // 3 % len(FIELDS)]
    others = [field for field in usual if field[0] != changed[0]]
    pseudo = changed[0].startswith(b":")
    listed = [changed, *others] if pseudo else [*others, changed]
    last = wire.END_STREAM if number % 2 else 0
    frames[at] = Frame(wire.HEADERS, wire.END_HEADERS | last, frames[at].stream or 1, block(*listed))


def insert(frames, at, number, data):
    """A frame of any type, well-formed where that takes a number."""
    kinds = (wire.WINDOW_UPDATE, wire.RST_STREAM, wire.SETTINGS, wire.PING, wire.GOAWAY, wire.CONTINUATION, wire.DATA)
    chosen = kinds[number % len(kinds)]
    value = (0, 1, 8, 2**14, 2**16, 2**31 - 1, 2**31)[number // 7 % 7]
    payloads = {
        wire.WINDOW_UPDATE: struct.pack(">I", value),
        wire.RST_STREAM: struct.pack(">I", value),
        wire.SETTINGS: struct.pack(">HI", number // 49 % 8, value),
        wire.PING: (data + bytes(8))[:8],
        wire.GOAWAY: struct.pack(">II", value, number // 49 % 16) + data,
    }
    where = 0 if chosen in {wire.SETTINGS, wire.PING, wire.GOAWAY} else STREAMS[number // 49 % len(STREAMS)]
    frames.insert(at, Frame(chosen, number // 343 % 2, where, payloads.get(chosen, data)))


MUTATIONS = (drop, double, swap, kind, flags, stream, cut, flip, write, lie, pad, prefix, fields, insert)


@dataclass(frozen=True)
class Hostile:
    """Bytes for one connection.

    Attributes:
        data: without the preface.
        piece: bytes that are written at a time, or more where there would be more than 400 pieces.
        closes: whether the connection is closed at once.
    """

    data: bytes
    piece: int
    closes: bool

    def pieces(self):
        """The parts in which they are written."""
        size = max(self.piece, len(self.data) // MOST_PIECES) or 1
        return [self.data[at : at + size] for at in range(0, len(self.data), size)]


def hostile(exchanges):
    """A strategy: mutated exchanges of this list."""
    mutation = st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 63), st.integers(0, 2**16), st.binary(max_size=12))

    def mutated(chosen, mutations, piece, closes):
        frames = [frame for exchange in chosen for frame in exchange]
        for mutate, at, number, data in mutations:
            if frames:
                mutate(frames, at % len(frames), number, data)
        return Hostile(b"".join(frame.encode() for frame in frames), piece, closes)

    return st.builds(
        mutated,
        st.lists(st.sampled_from(exchanges), min_size=1, max_size=2),
        st.lists(mutation, min_size=1, max_size=6),
        st.sampled_from((2**20, 1, 7, 100)),
        st.booleans(),
    )
