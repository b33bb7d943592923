# SPDX-License-Identifier: GPL-3.0-or-later
"""ngh2 (nghttp2 in a wheel), the only module that imports it: frames, header compression, HTTP/2's own rules.

Where a stream or the connection has ended meanwhile, what is asked of it does nothing and returns False.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import ngh2
from ngh2 import Configuration, Connection, Role, Setting
from ngh2.enums import ErrorCode
from ngh2.events import (
    DataReceived,
    Event,
    GoAwayReceived,
    PingAcknowledged,
    PingReceived,
    RequestReceived,
    ResponseReceived,
    SettingsReceived,
    StreamClosed,
    TrailersReceived,
)
from ngh2.types import Header

from gateway.grpc_h2.session_events import Headers

__all__ = (
    "DataReceived",
    "Engine",
    "ErrorCode",
    "Event",
    "GoAwayReceived",
    "Header",
    "Limits",
    "PingAcknowledged",
    "PingReceived",
    "ProtocolError",
    "RequestReceived",
    "ResponseReceived",
    "SettingsReceived",
    "StreamClosed",
    "TrailersReceived",
    "end_code",
)

# Resets of streams a connection may send: at once, and a second (CVE-2023-44487). gRPC clients under load also reset
# streams, when callers cancel: more often than nghttp2's defaults, 1,000 and 33, allow.
_RESET_LIMIT: Final = (5_000, 500)
# A larger list of headers ends the connection; one above the advertised limit is refused by itself.
_MAX_HEADER_LIST_BYTES: Final = 64 * 1024
# More fields than the limit of bytes allows: each counts for 32 bytes besides its own (RFC 9113, section 6.5.2).
_MAX_HEADER_FIELDS: Final = _MAX_HEADER_LIST_BYTES // 32
# Larger messages are queued in two pieces rather than copied.
_COPIED_BYTES: Final = 16 * 1024


class ProtocolError(Exception):
    """The peer has broken a rule of HTTP/2, and the connection cannot be used any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one side of a connection takes.

    Attributes:
        max_streams: concurrent streams that a client may open; unused on the client's side.
        stream_window: received bytes of one stream that may wait for credit.
        connection_window: the same for all streams together.
        max_frame_bytes: largest frame that is accepted.
        max_header_bytes: advertised limit of a header list (RFC 9113, section 6.5.2).
    """

    max_streams: int
    stream_window: int
    connection_window: int
    max_frame_bytes: int
    max_header_bytes: int


class Engine:
    """HTTP/2 without I/O, for one connection."""

    def __init__(self, limits: Limits, *, is_client: bool) -> None:
        """Queue the SETTINGS frame."""
        self._connection = Connection(
            Role.CLIENT if is_client else Role.SERVER,
            Configuration(
                auto_window_update=False,
                stream_reset_rate_limit=_RESET_LIMIT,
                max_inbound_header_list_size=_MAX_HEADER_LIST_BYTES,
                max_inbound_header_count=_MAX_HEADER_FIELDS,
            ),
        )
        self._connection.initiate_connection(
            {
                **({Setting.ENABLE_PUSH: 0} if is_client else {Setting.MAX_CONCURRENT_STREAMS: limits.max_streams}),
                Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
                Setting.MAX_FRAME_SIZE: limits.max_frame_bytes,
                Setting.MAX_HEADER_LIST_SIZE: limits.max_header_bytes,
            }
        )
        self._connection.set_local_window_size(limits.connection_window)
        self.events = self._connection.events

    # Input and output.

    def receive(self, data: bytes | memoryview) -> None:
        """Process bytes from the peer.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """
        try:
            self._connection.receive_data(data)
        except ngh2.NGH2Error as error:
            raise ProtocolError(str(error)) from error

    def data_to_send(self, most: int) -> bytes:
        """Bytes for the peer, about so many at most.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """
        try:
            return self._connection.data_to_send(most)
        except ngh2.ConnectionStateError:
            return b""
        except ngh2.NGH2Error as error:
            raise ProtocolError(str(error)) from error

    def close(self) -> None:
        """Let go of all that waits to be sent; what is asked of it from now on does nothing."""
        # One that was never begun refuses everything.
        self._connection = Connection(Role.CLIENT, Configuration())
        self.events = self._connection.events

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be received or sent."""
        try:
            return not (self._connection.want_read or self._connection.want_write)
        except ngh2.ConnectionStateError:
            return True

    def queued_bytes(self, stream_id: int | None = None) -> int:
        """Bytes of bodies that wait to be sent: of one stream, or of all."""
        return self._connection.queued_body_size(stream_id)

    # Streams.

    def is_open(self, stream_id: int) -> bool:
        """Whether the stream exists in HTTP/2's terms: its headers were sent or received, and it is not closed."""
        return _is_done(self._connection.stream_remote_window_size, stream_id)

    def is_sent(self, stream_id: int) -> bool:
        """Whether a complete response has left the queue; without credit from the peer its trailers wait."""
        try:
            credit = min(self._connection.remote_window_size, self._connection.stream_remote_window_size(stream_id))
        except ngh2.NGH2Error:
            return False
        return credit > 0 and not self._connection.queued_body_size(stream_id)

    def request(self, headers: Headers) -> int:
        """Open a stream; its id, or 0 where the connection can open no more."""
        try:
            return self._connection.send_request(headers)
        except ngh2.NGH2Error:
            return 0

    def respond(self, stream_id: int, headers: Headers, *, only: bool) -> bool:
        """Send a response's headers."""
        return _is_done(self._connection.send_response, stream_id, headers, end_stream=only)

    def send(self, stream_id: int, head: bytes, data: bytes) -> bool:
        """Queue part of a body, given in two pieces."""
        send = self._connection.send_data
        if len(data) <= _COPIED_BYTES:
            return _is_done(send, stream_id, head + data)
        return _is_done(send, stream_id, head) and _is_done(send, stream_id, data)

    def end(self, stream_id: int, trailers: Headers | None) -> bool:
        """End our side of a stream, with trailers where there are any."""
        if trailers is None:
            return _is_done(self._connection.end_stream, stream_id)
        return _is_done(self._connection.send_trailers, stream_id, trailers)

    def reset(self, stream_id: int, code: int) -> bool:
        """Reset a stream."""
        return _is_done(self._connection.reset_stream, stream_id, code)

    def credit(self, stream_id: int, size: int) -> bool:
        """Allow the peer so many bytes more, on a stream and on the connection."""
        return _is_done(self._connection.acknowledge_received_data, size, stream_id)

    # The connection.

    def ping(self) -> bool:
        """Send a PING."""
        return _is_done(self._connection.ping)

    def notify_shutdown(self) -> bool:
        """Send the first GOAWAY of a graceful shutdown."""
        return _is_done(self._connection.send_shutdown_notice)

    def goaway(self) -> bool:
        """Refuse all streams that the peer opens from now on."""
        return _is_done(self._connection.send_goaway)

    def terminate(self, code: int, reason: bytes) -> bool:
        """End the connection and all its streams."""
        return _is_done(self._connection.send_goaway, code, debug_data=reason) and _is_done(
            self._connection.terminate_connection, code
        )


def _is_done(do: Callable[..., Any], *args: Any, **options: Any) -> bool:
    """Whether ngh2 did what it was asked; it refuses where a stream or the connection has ended."""
    try:
        do(*args, **options)
    except ngh2.NGH2Error:
        return False
    return True


def end_code(event: StreamClosed) -> int:
    """The error code of a stream's end. A request that was never sent may go to another server: REFUSED_STREAM."""
    if event.local_error is None:
        return event.error_code
    closing = isinstance(event.local_error, ngh2.ConnectionClosingError)
    return ErrorCode.REFUSED_STREAM if closing else ErrorCode.INTERNAL_ERROR
