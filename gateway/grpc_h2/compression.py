# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages are compressed, where a call or a handler asks for it. `MessageDecoder` and `inflation` do the reverse."""

from __future__ import annotations

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc

from gateway.grpc_h2.wire import WINDOW_BITS, prefix

_ENCODINGS: Final = {grpc.Compression.Deflate: b"deflate", grpc.Compression.Gzip: b"gzip"}
# zlib compresses some 30 MB/s: up to here a thread's hop and back costs more.
_INLINE_BYTES: Final = 8 * 1024
_THREADS: Final = ThreadPoolExecutor(1, "compress")


def encoding_of(compression: grpc.Compression | int | None) -> bytes | None:
    """The name of `grpc-encoding`; None where nothing is to be compressed.

    Raises:
        ValueError: there is no such compression.
    """
    if compression is None:
        return None
    return _ENCODINGS.get(grpc.Compression(compression))


async def framed(message: bytes, encoding: bytes) -> tuple[bytes, bytes]:
    """A message's prefix and content: compressed, unless that makes it larger. Large ones take a thread."""
    if len(message) <= _INLINE_BYTES:
        content = _compressed(message, encoding)
    else:
        content = await asyncio.get_running_loop().run_in_executor(_THREADS, _compressed, message, encoding)
    if len(content) >= len(message):
        return prefix(message), message
    return prefix(content, compressed=True), content


def _compressed(message: bytes, encoding: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=WINDOW_BITS[encoding])
    return deflater.compress(message) + deflater.flush()
