# SPDX-License-Identifier: GPL-3.0-or-later
"""Strings in a TensorProto's `tensor_content`: EncodeStringList of TensorFlow (tensor_coding.cc)."""

from collections.abc import Sequence
from typing import Final

# A varint32 has five bytes; without a limit a long row of them would be one number of many megabytes.
_MOST_SHIFT: Final = 28


def encode_strings(values: Sequence[bytes]) -> bytes:
    """The lengths as varints, then the bytes."""
    lengths = bytearray()
    for value in values:
        length = len(value)
        while length >= 0x80:
            lengths.append(length & 0x7F | 0x80)
            length >>= 7
        lengths.append(length)
    return bytes(lengths) + b"".join(values)


def decode_strings(content: bytes, count: int) -> list[bytes]:
    """So many strings.

    Raises:
        ValueError: the content does not hold them, or holds more.
    """
    position = 0
    lengths = []
    try:
        for _ in range(count):
            length = shift = 0
            while (byte := content[position]) >= 0x80:
                length |= (byte & 0x7F) << shift
                shift += 7
                position += 1
                if shift > _MOST_SHIFT:
                    raise ValueError("lengths beyond 32 bits")
            lengths.append(length | byte << shift)
            position += 1
    except IndexError:
        raise ValueError(f"fewer than {count} lengths") from None
    if position + sum(lengths) != len(content):
        raise ValueError(f"lengths that do not fit {len(content)} bytes")
    values = []
    for length in lengths:
        values.append(content[position : position + length])
        position += length
    return values
