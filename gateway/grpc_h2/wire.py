# SPDX-License-Identifier: GPL-3.0-or-later
"""What gRPC puts into HTTP/2: timeouts, statuses, framed messages. `metadata` has the rest of its headers.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import re
import struct
import zlib
from collections import deque
from math import ceil
from typing import Final

import grpc

from gateway.grpc_h2.errors import Malformed, TooLarge
from gateway.grpc_h2.session_events import Headers

Framed = tuple[bool, bytes]
"""A message as it came, and whether it is compressed."""

RESPONSE: Final[Headers] = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity,deflate,gzip"),
]

REQUEST: Final[Headers] = [
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity,deflate,gzip"),
    (b"user-agent", b"orrery-inference"),
]

CONTENT_TYPE: Final = re.compile(rb"application/grpc(?:[+;]|\Z)")
_PREFIX: Final = struct.Struct(">BI")
PREFIX_BYTES: Final = _PREFIX.size
_UNIT_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_MOST_TIMEOUT: Final = 10**8
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
# zlib's `wbits` of each encoding.
WINDOW_BITS: Final = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
# Of details; percent-encoded they may be three times as many bytes.
_MOST_DETAILS: Final = 2_000
# Parts that are smaller are kept together, in pieces of about so many bytes.
_SMALL_PART: Final = 4 * 1024
_MOST_COALESCED: Final = 64 * 1024
# What `grpc-message` has percent-encoded; HTTP/2 allows no blank at either end of a value (RFC 9113, 8.2.1).
_UNPRINTABLE: Final = re.compile(rb"[^\x20-\x24\x26-\x7e]|\A\x20|\x20\Z")


def timeout_s(text: bytes) -> float:
    """The seconds of a `grpc-timeout` header.

    Raises:
        Malformed: the header has another form than gRPC's.
    """
    found = _TIMEOUT.fullmatch(text.decode("ascii", "replace"))
    if found is None:
        raise Malformed(
            grpc.StatusCode.INVALID_ARGUMENT,
            "grpc-timeout: must be 1 to 8 digits and a unit (H, M, S, m, u or n), as 5S or 500m (milliseconds)",
        )
    return int(found[1]) * _UNIT_S[found[2]]


def timeout_text(left_s: float) -> bytes:
    """The value of `grpc-timeout` for so many seconds: eight digits at most, rounded up."""
    left_us = max(1, ceil(left_s * 1e6))
    for unit, units_us in ((b"u", 1), (b"m", 1_000), (b"S", 1_000_000)):
        if (count := -(-left_us // units_us)) < _MOST_TIMEOUT:
            return b"%d%s" % (count, unit)
    return b"%dS" % (_MOST_TIMEOUT - 1)


def status_headers(code: grpc.StatusCode, details: str) -> Headers:
    """How a call ended; of its details at most 2,000 characters."""
    status = [(b"grpc-status", b"%d" % code.value[0])]
    if details:
        text = details[:_MOST_DETAILS].encode(errors="replace")
        status.append((b"grpc-message", _UNPRINTABLE.sub(lambda byte: b"%%%02X" % byte[0][0], text)))
    return status


def prefix(message: bytes, *, compressed: bool = False) -> bytes:
    """What goes before a message of ours."""
    return _PREFIX.pack(compressed, len(message))


class MessageDecoder:
    """Messages of one direction of a call, kept as they arrived until they are asked for."""

    def __init__(self, encoding: bytes | None, max_bytes: int) -> None:
        """Begin with the first message.

        Args:
            encoding: value of `grpc-encoding`.
            max_bytes: largest message, decompressed.

        Raises:
            Malformed: the encoding is not known.
        """
        if encoding not in (None, b"identity", *WINDOW_BITS):
            raise Malformed(grpc.StatusCode.UNIMPLEMENTED, "this server knows grpc-encoding identity, deflate and gzip")
        self.buffered = 0
        self._encoding = encoding
        self._max_bytes = max_bytes
        # Bytes in their order; of the first part, `_taken` bytes are used already.
        self._parts: deque[bytes | bytearray] = deque()
        self._taken = 0
        # Of the message whose prefix was read last: its size, and whether it is compressed.
        self._size: int | None = None
        self._compressed = False

    @property
    def in_the_middle(self) -> bool:
        """Whether bytes remain that no message was made of."""
        return self.buffered > 0 or self._size is not None

    @property
    def may_have_message(self) -> bool:
        """Whether `next_message` could return one; False where more bytes are needed."""
        return self.buffered >= (_PREFIX.size if self._size is None else self._size)

    def incomplete_size(self) -> int:
        """Size of the message that has begun and is not whole; 0 where there is none, or its size is not known yet.

        Raises:
            Malformed: it is too large.
        """
        self._read_prefix()
        return self._size if self._size is not None and self.buffered < self._size else 0

    def clear(self) -> None:
        """Drop what was received."""
        self._parts.clear()
        self.buffered = self._taken = 0

    def add(self, data: bytes) -> None:
        """Keep bytes that were received.

        Raises:
            Malformed: the message they begin is too large.
        """
        last = self._parts[-1] if self._parts else b""
        if 0 < len(last) < _MOST_COALESCED and len(data) < _SMALL_PART:
            # An object for each small part would weigh more than its bytes.
            if not isinstance(last, bytearray):
                last = self._parts[-1] = bytearray(last)
            last += data
        elif data:
            self._parts.append(data)
        self.buffered += len(data)
        self._read_prefix()

    def next_message(self) -> Framed | None:
        """The next message, still compressed; None until it is whole.

        Raises:
            Malformed: it is too large.
        """
        self._read_prefix()
        if self._size is None or self.buffered < self._size:
            return None
        message, self._size = self._take(self._size), None
        return self._compressed, message

    def _read_prefix(self) -> None:
        if self._size is not None or self.buffered < _PREFIX.size:
            return
        compressed, size = _PREFIX.unpack(self._take(_PREFIX.size))
        if size > self._max_bytes:
            raise TooLarge(size, self._max_bytes)
        self._compressed, self._size = bool(compressed), size

    def _take(self, size: int) -> bytes:
        """Remove so many bytes, which are there, from the front."""
        self.buffered -= size
        pieces: list[bytes | bytearray] = []
        while size:
            first = self._parts[0]
            end = min(self._taken + size, len(first))
            pieces.append(first if (self._taken, end) == (0, len(first)) else first[self._taken : end])
            size -= end - self._taken
            self._taken = end
            if end == len(first):
                self._parts.popleft()
                self._taken = 0
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def plain(self, framed: Framed) -> bytes:
        """A message, decompressed: only when it is its turn, for it may be a thousand times what was received.

        Raises:
            Malformed: it is too large then, or not what its prefix says.
        """
        plain = self.plain_within(framed, self._max_bytes)
        if plain is None:
            raise TooLarge(self._max_bytes + 1, self._max_bytes)
        return plain

    def plain_within(self, framed: Framed, most_bytes: int) -> bytes | None:
        """A message, decompressed; None where it is larger than so many bytes.

        Raises:
            Malformed: it is not what its prefix says.
        """
        compressed, message = framed
        if not compressed:
            return message
        if self._encoding not in WINDOW_BITS:
            raise Malformed(grpc.StatusCode.INTERNAL, "a compressed message without a grpc-encoding")
        inflater = zlib.decompressobj(WINDOW_BITS[self._encoding])
        try:
            plain = inflater.decompress(message, most_bytes + 1)
        except zlib.error as error:
            raise Malformed(grpc.StatusCode.INTERNAL, "a message that cannot be decompressed") from error
        if len(plain) > most_bytes:
            return None
        if not inflater.eof:
            raise Malformed(grpc.StatusCode.INTERNAL, "a message that cannot be decompressed")
        return plain
