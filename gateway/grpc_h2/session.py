# SPDX-License-Identifier: GPL-3.0-or-later
"""One side of an HTTP/2 connection (RFC 9113): bytes in, bytes out, events in between.

ngh2 (nghttp2 in a wheel) parses frames, compresses headers and enforces HTTP/2's rules. This module, the only one that
imports it, turns its events into method calls and keeps the flow-control credit of each stream.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
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

from gateway.grpc_h2.session_events import Headers, SessionEvents

# Largest part of the output that is serialised at once.
_MAX_WRITE_BYTES: Final = 256 * 1024
# Resets of streams a connection may send: at once, and a second (CVE-2023-44487). gRPC clients under load also reset
# streams, when callers cancel: more often than nghttp2's defaults, 1,000 and 33, allow.
_RESET_LIMIT: Final = (5_000, 500)
# A larger list of headers ends the connection; one above the advertised limit is refused by itself.
_MAX_HEADER_LIST_BYTES: Final = 128 * 1024
# What each field counts for besides its bytes (RFC 9113, section 6.5.2).
_FIELD_OVERHEAD_BYTES: Final = 32
# More fields than the limit of bytes allows.
_MAX_HEADER_FIELDS: Final = _MAX_HEADER_LIST_BYTES // _FIELD_OVERHEAD_BYTES
# Of headers that are sent.
_MAX_SENT_FIELDS: Final = 128
# Larger messages are queued in two pieces rather than copied.
_COPIED_BYTES: Final = 16 * 1024


class ProtocolError(Exception):
    """The peer has broken a rule of HTTP/2, and the connection cannot be used any more."""


class _Stream:
    """State of one stream: received bytes not yet credited, body bytes queued, and which sides have ended."""

    __slots__ = ("peer_ended", "queued", "uncredited", "we_ended")

    def __init__(self) -> None:
        self.uncredited = self.queued = 0
        self.peer_ended = self.we_ended = False


class Session(SessionEvents):
    """HTTP/2 without I/O."""

    def __init__(
        self,
        *,
        is_client: bool,
        max_streams: int,
        stream_window: int,
        connection_window: int,
        max_frame_bytes: int,
        max_header_bytes: int,
    ) -> None:
        """Queue the SETTINGS frame.

        Args:
            is_client: which side this is.
            max_streams: concurrent streams that a client may open; unused on the client's side.
            stream_window: received bytes of one stream that may wait for `release_credit`.
            connection_window: the same for all streams together.
            max_frame_bytes: largest frame that is accepted.
            max_header_bytes: advertised limit of a header list (RFC 9113, section 6.5.2).
        """
        self._is_client = is_client
        self._max_header_bytes = max_header_bytes
        self._streams: dict[int, _Stream] = {}
        # Streams with body bytes in the queue.
        self._sending: set[int] = set()
        # Client: requests in their order that are not sent yet, because the server accepts no more streams at a time.
        self._unsent: dict[int, None] = {}
        # Server: streams whose response is complete while their request is not.
        self._answered: set[int] = set()
        self._ping_after_notice = False
        # Events that are not reported yet.
        self._pending: deque[Event] = deque()
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
                **({Setting.ENABLE_PUSH: 0} if is_client else {Setting.MAX_CONCURRENT_STREAMS: max_streams}),
                Setting.INITIAL_WINDOW_SIZE: stream_window,
                Setting.MAX_FRAME_SIZE: max_frame_bytes,
                Setting.MAX_HEADER_LIST_SIZE: max_header_bytes,
            }
        )
        self._connection.set_local_window_size(connection_window)
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RequestReceived: self._request_received,
            ResponseReceived: self._response_received,
            TrailersReceived: self._trailers_received,
            DataReceived: self._data_received,
            StreamClosed: self._stream_closed,
            PingReceived: lambda _: self.ping_received(),
            PingAcknowledged: lambda _: self.ping_acknowledged(),
            SettingsReceived: lambda _: self.settings_received(),
            GoAwayReceived: self._goaway_received,
        }

    # Input and output.

    def receive(self, data: bytes) -> None:
        """Process bytes from the peer. `report_events` reports what they mean.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """
        try:
            self._connection.receive_data(data)
        except ngh2.NGH2Error as error:
            raise ProtocolError(str(error)) from error
        finally:
            self._pending.extend(self._connection.events())

    def report_events(self, most: int) -> bool:
        """Report the next events, so many at most; whether there are more."""
        pending = self._pending
        for _ in range(min(most, len(pending))):
            event = pending.popleft()
            if (handle := self._handlers.get(type(event))) is not None:
                handle(event)
        return bool(pending)

    def data_to_send(self) -> bytes:
        """Bytes for the peer, at most 256 KiB at a time; empty when there are none.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """
        try:
            data = self._connection.data_to_send(_MAX_WRITE_BYTES)
            if len(data) < _MAX_WRITE_BYTES and self._follow_up():
                data += self._connection.data_to_send(_MAX_WRITE_BYTES)
        except ngh2.ConnectionStateError:
            return b""
        except ngh2.NGH2Error as error:
            raise ProtocolError(str(error)) from error
        while self._unsent and self._is_open(first := next(iter(self._unsent))):
            del self._unsent[first]
        for stream_id in list(self._sending):
            self._report_sent(stream_id)
        self._pending.extend(self._connection.events())
        return data

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be received or sent."""
        try:
            return not (self._connection.want_read or self._connection.want_write)
        except ngh2.ConnectionStateError:
            return True

    @property
    def has_events(self) -> bool:
        """Whether `report_events` has something to report."""
        return bool(self._pending)

    @property
    def queued_bytes(self) -> int:
        """Bytes of bodies that wait to be sent, on all streams."""
        return self._connection.queued_body_size()

    # Actions. Where the stream or the connection has ended meanwhile, they do nothing.

    def request(self, headers: Headers) -> int:
        """Open a stream with a request's headers; its id, or 0 where this connection can open no more streams.

        Raises:
            ValueError: there are more than 128 headers.
        """
        _check_count(headers)
        try:
            stream_id = self._connection.send_request(headers)
        except ngh2.NGH2Error:
            return 0
        self._streams[stream_id] = _Stream()
        self._unsent[stream_id] = None
        return stream_id

    def respond(self, stream_id: int, headers: Headers, *, only: bool = False) -> None:
        """Send a response's headers; `only` makes them the whole response.

        Raises:
            ValueError: there are more than 128 headers.
        """
        _check_count(headers)
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        try:
            self._connection.send_response(stream_id, headers, end_stream=only)
        except ngh2.NGH2Error:
            return
        if only:
            self._end_local(stream_id, stream)

    def send(self, stream_id: int, head: bytes, data: bytes) -> int:
        """Queue part of a body, given in two pieces; returns how many bytes of this stream wait to be sent."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        try:
            if len(data) <= _COPIED_BYTES:
                self._connection.send_data(stream_id, head + data)
            else:
                self._connection.send_data(stream_id, head)
                self._connection.send_data(stream_id, data)
        except ngh2.NGH2Error:
            return stream.queued
        stream.queued = self._connection.queued_body_size(stream_id)
        self._sending.add(stream_id)
        return stream.queued

    def finish(self, stream_id: int, trailers: Headers) -> None:
        """End our side of a stream: a response with trailers, a request (which has none) without."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.we_ended:
            return
        try:
            if self._is_client:
                self._connection.end_stream(stream_id)
            else:
                self._connection.send_trailers(stream_id, trailers)
        except ngh2.NGH2Error:
            return
        self._end_local(stream_id, stream)

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream."""
        with contextlib.suppress(ngh2.NGH2Error):
            self._connection.reset_stream(stream_id, code)
        if stream_id in self._unsent:
            # nghttp2 reports its end only when it would have been sent.
            self._close_stream(stream_id, code)

    def release_credit(self, stream_id: int, size: int) -> None:
        """Allow the peer to send so many bytes more, on this stream and on the connection."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._credit(stream_id, stream, min(size, stream.uncredited))

    def ping(self) -> None:
        """Send a PING; `ping_acknowledged` reports the answer."""
        with contextlib.suppress(ngh2.NGH2Error):
            self._connection.ping()

    def send_shutdown_notice(self) -> None:
        """Ask the client to open no more streams; `ping_acknowledged` reports that it has read this.

        Streams that the client opens meanwhile are still served (RFC 9113, section 6.8).
        """
        with contextlib.suppress(ngh2.NGH2Error):
            self._connection.send_shutdown_notice()
            self._ping_after_notice = True

    def send_goaway(self) -> None:
        """Refuse all streams that the client opens from now on; it may open them on another connection."""
        with contextlib.suppress(ngh2.NGH2Error):
            self._connection.send_goaway()

    def terminate(self, code: int, reason: bytes) -> None:
        """End the connection and all its streams with an error code, and a reason for the peer's log."""
        with contextlib.suppress(ngh2.NGH2Error):
            self._connection.send_goaway(code, debug_data=reason)
            self._connection.terminate_connection(code)

    # What ngh2 reports.

    def _request_received(self, event: RequestReceived) -> None:
        if not self._is_open(event.stream_id):
            # Its client has reset it since, in the same read: there is nobody to answer.
            return
        self._streams[event.stream_id] = _Stream()
        self._headers_received(event.stream_id, event.headers, end_stream=event.end_stream)

    def _response_received(self, event: ResponseReceived) -> None:
        self._headers_received(event.stream_id, event.headers, end_stream=event.end_stream)

    def _trailers_received(self, event: TrailersReceived) -> None:
        # Requests have no trailers in gRPC; theirs are ignored.
        self._headers_received(event.stream_id, event.headers if self._is_client else (), end_stream=True)

    def _headers_received(self, stream_id: int, headers: Sequence[Header], *, end_stream: bool) -> None:
        if stream_id not in self._streams:
            return
        if sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in headers) > self._max_header_bytes:
            self.reset(stream_id, ErrorCode.INTERNAL_ERROR)
            return
        if headers:
            self.headers_received(stream_id, list(headers))
        if end_stream:
            self._peer_ended(stream_id)

    def _data_received(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            # The stream was closed by an event before this one, or by us.
            with contextlib.suppress(ngh2.NGH2Error):
                self._connection.acknowledge_received_data(len(event.data), event.stream_id)
            return
        stream.uncredited += len(event.data)
        self.body_received(event.stream_id, event.data)
        if event.end_stream:
            self._peer_ended(event.stream_id)

    def _stream_closed(self, event: StreamClosed) -> None:
        code = event.error_code
        if event.local_error is not None:
            # A request that was never sent because the server accepts no more streams may go to another server.
            closing = isinstance(event.local_error, ngh2.ConnectionClosingError)
            code = ErrorCode.REFUSED_STREAM if closing else ErrorCode.INTERNAL_ERROR
        self._close_stream(event.stream_id, code)

    def _goaway_received(self, _event: Event) -> None:
        self.goaway_received()
        for stream_id in list(self._unsent):
            self._close_stream(stream_id, ErrorCode.REFUSED_STREAM)

    # State of streams.

    def _is_open(self, stream_id: int) -> bool:
        """Whether the stream exists in HTTP/2's terms: its headers were sent or received, and it is not closed."""
        try:
            self._connection.stream_remote_window_size(stream_id)
        except ngh2.NGH2Error:
            return False
        return True

    def _peer_ended(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.peer_ended = True
        self._answered.discard(stream_id)
        self.peer_ended(stream_id)
        if self._is_client and not stream.we_ended:
            # The response is complete; the rest of the request need not be sent.
            self.reset(stream_id, ErrorCode.CANCEL)

    def _end_local(self, stream_id: int, stream: _Stream) -> None:
        stream.we_ended = True
        if not self._is_client and not stream.peer_ended:
            self._answered.add(stream_id)

    def _close_stream(self, stream_id: int, code: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        self._unsent.pop(stream_id, None)
        self._sending.discard(stream_id)
        self._answered.discard(stream_id)
        # The connection's credit belongs to the other streams now.
        self._credit(stream_id, stream, stream.uncredited)
        self.stream_closed(stream_id, code)

    def _credit(self, stream_id: int, stream: _Stream, size: int) -> None:
        stream.uncredited -= size
        if size:
            with contextlib.suppress(ngh2.NGH2Error):
                self._connection.acknowledge_received_data(size, stream_id)

    def _report_sent(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        queued = self._connection.queued_body_size(stream_id)
        if not queued:
            self._sending.discard(stream_id)
        if stream is not None and queued < stream.queued:
            stream.queued = queued
            self.body_sent(stream_id, queued)

    def _follow_up(self) -> bool:
        """Queue what must follow frames that were just sent; whether there is anything."""
        before = self._ping_after_notice
        if self._ping_after_notice:
            # A PING overtakes other frames; queued earlier, its answer would not prove that the notice was read.
            self._ping_after_notice = False
            self.ping()
        for stream_id in [answered for answered in self._answered if self._is_sent(answered)]:
            self._answered.discard(stream_id)
            # The rest of the request need not be sent (RFC 9113, section 8.1).
            self.reset(stream_id, ErrorCode.NO_ERROR)
            before = True
        return before

    def _is_sent(self, stream_id: int) -> bool:
        """Whether a complete response has left the queue; without credit from the peer its trailers wait."""
        try:
            credit = min(self._connection.remote_window_size, self._connection.stream_remote_window_size(stream_id))
        except ngh2.NGH2Error:
            return False
        return credit > 0 and not self._connection.queued_body_size(stream_id)


def _check_count(headers: Headers) -> None:
    if len(headers) > _MAX_SENT_FIELDS:
        raise ValueError("too much metadata")
