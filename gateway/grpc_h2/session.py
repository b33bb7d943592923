# SPDX-License-Identifier: GPL-3.0-or-later
"""One side of an HTTP/2 connection (RFC 9113): bytes in, bytes out, events in between.

The engine parses frames, compresses headers and enforces HTTP/2's rules. This module turns its events into method calls
and keeps the flow-control credit of each stream.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.grpc_h2.engine import (
    DataReceived,
    Engine,
    ErrorCode,
    Event,
    GoAwayReceived,
    Header,
    Limits,
    PingAcknowledged,
    PingReceived,
    ProtocolError,
    RequestReceived,
    ResponseReceived,
    SettingsReceived,
    StreamClosed,
    TrailersReceived,
    end_code,
)
from gateway.grpc_h2.session_events import Headers
from gateway.grpc_h2.stream_table import Stream, StreamTable

# Largest part of the output that is serialised at once.
_MAX_WRITE_BYTES: Final = 256 * 1024
# What each field counts for besides its bytes (RFC 9113, section 6.5.2).
_FIELD_OVERHEAD_BYTES: Final = 32
# What counts as waiting to be sent on a stream that is closed: more than a writer goes on with.
_CLOSED_QUEUED: Final = 128 * 1024
# Of headers that are sent.
_MAX_SENT_FIELDS: Final = 128

__all__ = ("Limits", "ProtocolError", "Session")


class Session(StreamTable):
    """HTTP/2 without I/O."""

    def __init__(self, limits: Limits, *, is_client: bool) -> None:
        """Queue the SETTINGS frame.

        Args:
            limits: of this side.
            is_client: which side this is.
        """
        super().__init__(Engine(limits, is_client=is_client), is_client=is_client)
        self._max_header_bytes = limits.max_header_bytes
        # Events that are not reported yet.
        self._pending: deque[Event] = deque()
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

    def receive(self, data: bytes | memoryview) -> None:
        """Process bytes from the peer. `report_events` reports what they mean.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """
        try:
            self._engine.receive(data)
        finally:
            self._pending.extend(self._engine.events())

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
        data = self._engine.data_to_send(_MAX_WRITE_BYTES)
        if len(data) < _MAX_WRITE_BYTES and self._follow_up():
            data += self._engine.data_to_send(_MAX_WRITE_BYTES)
        while self._unsent and self._engine.is_open(first := next(iter(self._unsent))):
            del self._unsent[first]
        for stream_id in list(self._sending):
            self._report_sent(stream_id)
        self._pending.extend(self._engine.events())
        return data

    def close(self) -> None:
        """Let go of all that waits to be sent or to be reported."""
        self._engine.close()
        self._pending.clear()

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be received or sent."""
        return self._engine.is_over

    @property
    def pending_events(self) -> int:
        """Events that `report_events` has not reported yet."""
        return len(self._pending)

    def discard_events(self) -> None:
        """Report none of the pending events."""
        self._pending.clear()

    @property
    def queued_bytes(self) -> int:
        """Bytes of bodies that wait to be sent, on all streams."""
        return self._engine.queued_bytes()

    # Actions. Where the stream or the connection has ended meanwhile, they do nothing.

    def request(self, headers: Headers) -> int:
        """Open a stream with a request's headers; its id, or 0 where this connection can open no more streams.

        Raises:
            ValueError: there are more than 128 headers.
        """
        _check_count(headers)
        if stream_id := self._engine.request(headers):
            self._streams[stream_id] = Stream()
            self._unsent[stream_id] = None
        return stream_id

    def respond(self, stream_id: int, headers: Headers, *, only: bool = False) -> None:
        """Send a response's headers; `only` makes them the whole response.

        Raises:
            ValueError: there are more than 128 headers.
        """
        _check_count(headers)
        stream = self._streams.get(stream_id)
        if stream is not None and self._engine.respond(stream_id, headers, only=only) and only:
            self._end_local(stream_id, stream)

    def send(self, stream_id: int, head: bytes, data: bytes) -> int:
        """Queue part of a body, given in two pieces; returns how many bytes of this stream wait to be sent."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        if not self._engine.send(stream_id, head, data):
            # Its end is among the events to come: whoever writes waits for that.
            return max(stream.queued, _CLOSED_QUEUED)
        stream.queued = self._engine.queued_bytes(stream_id)
        self._sending.add(stream_id)
        return stream.queued

    def finish(self, stream_id: int, trailers: Headers) -> None:
        """End our side of a stream: a response with trailers, a request (which has none) without."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.we_ended:
            return
        if self._engine.end(stream_id, None if self._is_client else trailers):
            self._end_local(stream_id, stream)

    def send_shutdown_notice(self) -> None:
        """Ask the client to open no more streams; `ping_acknowledged` reports that it has read this.

        Streams that the client opens meanwhile are still served (RFC 9113, section 6.8).
        """
        self._ping_after_notice = self._engine.notify_shutdown()

    def send_goaway(self) -> None:
        """Refuse all streams that the client opens from now on; it may open them on another connection."""
        self._engine.goaway()

    def terminate(self, code: int, reason: bytes) -> None:
        """End the connection and all its streams with an error code, and a reason for the peer's log."""
        self._engine.terminate(code, reason)

    # What ngh2 reports.

    def _request_received(self, event: RequestReceived) -> None:
        if not self._engine.is_open(event.stream_id):
            # Its client has reset it since, in the same read: there is nobody to answer.
            return
        self._streams[event.stream_id] = Stream()
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
            self._engine.credit(event.stream_id, len(event.data))
            return
        stream.uncredited += len(event.data)
        self.body_received(event.stream_id, event.data)
        if event.end_stream:
            self._peer_ended(event.stream_id)

    def _stream_closed(self, event: StreamClosed) -> None:
        self._close_stream(event.stream_id, end_code(event))

    def _goaway_received(self, _event: Event) -> None:
        self.goaway_received()
        for stream_id in list(self._unsent):
            self._close_stream(stream_id, ErrorCode.REFUSED_STREAM)


def _check_count(headers: Headers) -> None:
    if len(headers) > _MAX_SENT_FIELDS:
        raise ValueError("too much metadata")
