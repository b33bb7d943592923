# SPDX-License-Identifier: GPL-3.0-or-later
"""How an attempt ended: with the server's status, or with one that is made of what happened instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

import grpc

from gateway.grpc_h2.errors import Malformed, MessageTooLarge, TooLarge
from gateway.grpc_h2.metadata import metadata_of
from gateway.grpc_h2.session_events import Headers

_CODES: Final = {b"%d" % code.value[0]: code for code in grpc.StatusCode}
# https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_BY_HTTP: Final = {
    b"400": grpc.StatusCode.INTERNAL,
    b"401": grpc.StatusCode.UNAUTHENTICATED,
    b"403": grpc.StatusCode.PERMISSION_DENIED,
    b"404": grpc.StatusCode.UNIMPLEMENTED,
    b"429": grpc.StatusCode.UNAVAILABLE,
    b"502": grpc.StatusCode.UNAVAILABLE,
    b"503": grpc.StatusCode.UNAVAILABLE,
    b"504": grpc.StatusCode.UNAVAILABLE,
}
# Error codes of RFC 9113, 7, as gRPC's PROTOCOL-HTTP2.md reads them; all others are INTERNAL.
_REFUSED_STREAM: Final = 7
_BY_RESET: Final = {
    _REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    8: grpc.StatusCode.CANCELLED,
    11: grpc.StatusCode.RESOURCE_EXHAUSTED,
    12: grpc.StatusCode.PERMISSION_DENIED,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an attempt.

    Attributes:
        code: its status.
        details: the status's sentence.
        initial: headers before the first message.
        trailing: headers after the last.
        unseen: the server has not begun it, so that it may be asked again, whatever it does.
        kind: of the error that a caller gets.
    """

    code: grpc.StatusCode
    details: str = ""
    initial: Headers = field(default_factory=list)
    trailing: Headers = field(default_factory=list)
    unseen: bool = False
    kind: type[grpc.aio.AioRpcError] = grpc.aio.AioRpcError

    def error(self) -> grpc.aio.AioRpcError:
        """The error that a caller gets."""
        try:
            initial, trailing = metadata_of(self.initial), metadata_of(self.trailing)
        except Malformed as error:
            # The server's fault here: our own code for it is that of a request.
            return grpc.aio.AioRpcError(
                grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), error.details
            )
        return self.kind(
            self.code,
            grpc.aio.Metadata(*initial),
            grpc.aio.Metadata(*trailing),
            self.details,
            self.debug_error_string,
        )

    @property
    def debug_error_string(self) -> str:
        """Code and details, as gRPC writes them; empty for OK."""
        return "" if self.code is grpc.StatusCode.OK else f"{self.code.name}:{self.details}"

    def pushback_s(self) -> float | None:
        """When the server would be asked again, at the earliest; negative for never, None where it names no time."""
        pushback = dict(self.trailing).get(b"grpc-retry-pushback-ms")
        if pushback is None:
            return None
        return int(pushback) / 1e3 if pushback.isdigit() else -1.0


def by_trailers(trailing: Headers, initial: Headers) -> Ended:
    """With the server's status."""
    fields = dict(trailing)
    status = fields.get(b"grpc-status")
    if status is None:
        return Ended(grpc.StatusCode.UNKNOWN, "the server sent no status", initial, trailing)
    code = _CODES.get(status, grpc.StatusCode.UNKNOWN)
    details = b"" if code is grpc.StatusCode.OK else fields.get(b"grpc-message", b"")
    return Ended(code, unquote_to_bytes(details).decode(errors="replace") if details else "", initial, trailing)


def by_http(headers: Headers) -> Ended:
    """What answered does not speak gRPC: a proxy, or another kind of server."""
    status = dict(headers).get(b":status", b"")
    code = _BY_HTTP.get(status, grpc.StatusCode.UNKNOWN)
    return Ended(code, f"an answer that is not gRPC's, HTTP status {status.decode('ascii', 'replace')}", headers)


def by_reset(code: int) -> Ended:
    """The stream was broken off."""
    unseen = code == _REFUSED_STREAM
    details = "the server takes no more calls here" if unseen else f"the stream was reset, with code {code} of HTTP/2"
    return Ended(_BY_RESET.get(code, grpc.StatusCode.INTERNAL), details, unseen=unseen)


def by_malformed(error: Malformed) -> Ended:
    """The server sent a message that cannot be taken."""
    kind = MessageTooLarge if isinstance(error, TooLarge) else grpc.aio.AioRpcError
    return Ended(error.code, error.details, kind=kind)


LOST: Final = Ended(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
LOST_UNSEEN: Final = Ended(grpc.StatusCode.UNAVAILABLE, "the connection was lost before the call was sent", unseen=True)
# The details of these three are grpc.aio's.
LOCALLY_CANCELLED: Final = Ended(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
FORGOTTEN: Final = Ended(grpc.StatusCode.CANCELLED, "Cancelled upon garbage collection!")
TOO_LATE: Final = Ended(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
