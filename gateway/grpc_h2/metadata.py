# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata: read from headers, and checked before they become headers.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import grpc

from gateway.grpc_h2.errors import InvalidMetadata, Malformed, TooMuchMetadata
from gateway.grpc_h2.session_events import Headers


class Metadatum(NamedTuple):
    """One field: bytes where the key ends in "-bin", otherwise text."""

    key: str
    value: str | bytes


Metadata = tuple[Metadatum, ...]
MetadataLike = Iterable[tuple[str, str | bytes]]
"""What callers and handlers may give: a grpc.aio.Metadata, or pairs."""

MOST_FIELDS: Final = 100
# Of the 16 KiB that a peer of this kind takes, with room for gRPC's own fields; gRPC's core takes 8 KiB for sure.
MOST_BYTES: Final = 12 * 1024
# What a field counts for besides its bytes (RFC 9113, section 6.5.2).
_FIELD_OVERHEAD_BYTES: Final = 32
_KEY: Final = re.compile(r"[a-z0-9_.-]+")
_UNPRINTABLE: Final = re.compile(rb"[^\x20-\x7e]")
# Of HTTP/2 and of gRPC itself; what is received is not part of the metadata.
_TRANSPORT: Final = frozenset(
    {
        b"te",
        b"content-type",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-status",
        b"grpc-message",
    }
)
# Fields that would break the call, and those that HTTP/2 forbids (RFC 9113, section 8.2.2).
_RESERVED: Final = frozenset({name.decode() for name in _TRANSPORT}) | {
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
}
# The transport sends its own. Whoever hands on what a call came with has it in there.
_OWN: Final = "user-agent"
# Keys that were found good, as they are sent.
_KNOWN: Final[dict[str, bytes]] = {}
_MOST_KNOWN: Final = 1_000


def metadata_of(headers: Headers) -> Metadata:
    """The peer's metadata; values of `-bin` keys as bytes, those that commas join as several.

    Raises:
        Malformed: a value is no text, or no base64.
    """
    found: list[Metadatum] = []
    try:
        for name, value in headers:
            if name in _TRANSPORT or name.startswith(b":"):
                continue
            key = name.decode("ascii")
            if name.endswith(b"-bin"):
                found.extend(Metadatum(key, _unpadded(part)) for part in value.split(b","))
            else:
                found.append(Metadatum(key, value.decode("ascii")))
    except (UnicodeDecodeError, binascii.Error) as error:
        raise Malformed(
            grpc.StatusCode.INVALID_ARGUMENT, "headers must be ASCII, and base64 where their names end in -bin"
        ) from error
    return tuple(found)


def headers_of(metadata: MetadataLike | None) -> Headers:
    """Metadata as it is sent. Spaces at the ends of a text are left out: HTTP/2 forbids them (RFC 9113, 8.2.1).

    Raises:
        TypeError: a key is no str, or a value is of the wrong type.
        ValueError: these are no pairs.
        InvalidMetadata: a key or a value has characters that it may not have, or the key is reserved.
        TooMuchMetadata: there are too many fields, or too many bytes.
    """
    if not metadata:
        return []
    headers: Headers = []
    size = 0
    for item in metadata:
        key, value = _pair(item)
        if key == _OWN:
            continue
        header = (_KNOWN.get(key) or _checked_key(key), _checked_value(key, value))
        size += len(header[0]) + len(header[1]) + _FIELD_OVERHEAD_BYTES
        headers.append(header)
        if size > MOST_BYTES:
            raise TooMuchMetadata(f"metadata: more than {MOST_BYTES} bytes, {key!r} included")
    if len(headers) > MOST_FIELDS:
        raise TooMuchMetadata(f"metadata: {len(headers)} fields, at most {MOST_FIELDS} are sent")
    return headers


def _pair(item: tuple[str, str | bytes]) -> tuple[str, str | bytes]:
    if not isinstance(item, tuple | list) or len(item) != 2:  # a pair
        raise ValueError(f"metadata: must be pairs of key and value, not {item!r}")
    return item[0], item[1]


def _checked_key(key: str) -> bytes:
    if not isinstance(key, str):
        raise TypeError(f"metadata: a key must be str, not {type(key).__name__} ({key!r})")
    if not _KEY.fullmatch(key):
        raise InvalidMetadata(f"metadata {key!r}: a key must be one or more of a-z 0-9 . _ -")
    if key in _RESERVED:
        raise InvalidMetadata(f"metadata {key!r}: the transport sets this key itself")
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    name = _KNOWN[key] = key.encode("ascii")
    return name


def _checked_value(key: str, value: str | bytes) -> bytes:
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise TypeError(f"metadata {key!r}: must be bytes, not {type(value).__name__}")
        return base64.b64encode(value).rstrip(b"=")
    if isinstance(value, str):
        # Of ASCII, what is printable is what gRPC allows: 0x20 to 0x7e.
        if not (value.isascii() and value.isprintable()):
            raise InvalidMetadata(f"metadata {key!r}: must be printable ASCII (a key that ends in -bin takes bytes)")
        return value.strip(" ").encode("ascii")
    if not isinstance(value, bytes):
        raise TypeError(f"metadata {key!r}: must be str or bytes, not {type(value).__name__}")
    if _UNPRINTABLE.search(value):
        raise InvalidMetadata(f"metadata {key!r}: must be printable ASCII (a key that ends in -bin takes bytes)")
    return value.strip(b" ")


def _unpadded(value: bytes) -> bytes:
    # Base64 comes with or without its padding.
    text = value.strip()
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
