# SPDX-License-Identifier: GPL-3.0-or-later
"""One side of an HTTP/2 connection (RFC 9113): bytes in, bytes out, events in between.

The engine parses frames, compresses headers and enforces HTTP/2's rules. This module turns its events into method calls
and keeps the flow-control credit of each stream.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.grpc_h2.engine import (
    DataReceived,
    Engine,
    ErrorCode,
    Event,
    GoAwayReceived,
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
# A request that its client has reset since costs next to nothing: this part of an event.
_RESET_COUNTS: Final = 1 / 16
_WITH_HEADERS: Final = (RequestReceived, ResponseReceived, TrailersReceived)
# What counts as waiting to be sent on a stream that is closed: more than a writer goes on with.
_CLOSED_QUEUED: Final = 128 * 1024
# Of headers that are sent.
_MAX_SENT_FIELDS: Final = 128

__all__ = ("Limits", "ProtocolError", "Session")


@dataclass(frozen=True, slots=True)
class _TooLarge:
    """Headers above this side's limit, in place of their event."""

    stream_id: int


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
        # Events that are not reported yet; the bytes of each one's headers, if it has any, and of all.
        self._pending: deque[Event | _TooLarge] = deque()
        self._header_bytes: deque[int] = deque()
        self.pending_header_bytes = 0
        self._handlers: dict[type[Event | _TooLarge], Callable[[Any], None]] = {
            _TooLarge: lambda event: self.reset(event.stream_id, ErrorCode.INTERNAL_ERROR),
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
            self._keep_events()

    def report_events(self, most: int) -> int:
        """Report the next events, so many at most; returns how many that were.

        A request that its client has reset since is not reported, and counts for a sixteenth of an event.
        """
        pending, left = self._pending, float(most)
        while pending and left > 0:
            event = pending.popleft()
            left -= 1
            if isinstance(event, _WITH_HEADERS):
                self.pending_header_bytes -= self._header_bytes.popleft()
                if not self._report_headers(event):
                    left += 1 - _RESET_COUNTS
            elif (handle := self._handlers.get(type(event))) is not None:
                handle(event)
        return math.ceil(most - left)

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
        self._keep_events()
        return data

    def close(self) -> None:
        """Let go of all that waits to be sent or to be reported."""
        self._engine.close()
        self.discard_events()

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
        self._header_bytes.clear()
        self.pending_header_bytes = 0

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

    def _keep_events(self) -> None:
        for event in self._engine.events():
            if isinstance(event, _WITH_HEADERS):
                size = sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in event.headers)
                if size > self._max_header_bytes:
                    # A few bytes that stand for many: they are not kept until it is their turn.
                    self._pending.append(_TooLarge(event.stream_id))
                    continue
                self._header_bytes.append(size)
                self.pending_header_bytes += size
            elif isinstance(event, StreamClosed) and self._is_over_for_both(event.stream_id):
                # Nothing of this stream waits to be reported. Behind other streams' requests it would count as open.
                self._stream_closed(event)
                continue
            self._pending.append(event)

    def _report_headers(self, event: RequestReceived | ResponseReceived | TrailersReceived) -> bool:
        """Report headers; whether there was a stream that they belong to."""
        stream_id = event.stream_id
        if isinstance(event, RequestReceived):
            if not self._engine.is_open(stream_id):
                # Its client has reset it since: there is nobody to answer.
                return False
            self._streams[stream_id] = Stream()
        elif stream_id not in self._streams:
            return True
        # Requests have no trailers in gRPC; theirs are ignored.
        if event.headers and (self._is_client or not isinstance(event, TrailersReceived)):
            self.headers_received(stream_id, list(event.headers))
        if isinstance(event, TrailersReceived) or event.end_stream:
            self._peer_ended(stream_id)
        return True

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
