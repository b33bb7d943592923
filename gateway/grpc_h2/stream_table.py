# SPDX-License-Identifier: GPL-3.0-or-later
"""The open streams of a connection: credit, what waits to be sent, and how they end."""

from __future__ import annotations

from gateway.grpc_h2.engine import Engine, ErrorCode
from gateway.grpc_h2.session_events import SessionEvents


class Stream:
    """State of one stream: received bytes not yet credited, body bytes queued, and which sides have ended."""

    __slots__ = ("peer_ended", "queued", "uncredited", "we_ended")

    def __init__(self) -> None:
        self.uncredited = self.queued = 0
        self.peer_ended = self.we_ended = False


class StreamTable(SessionEvents):
    """Streams of one connection."""

    def __init__(self, engine: Engine, *, is_client: bool) -> None:
        """Begin with none.

        Args:
            engine: frames of the connection.
            is_client: which side this is.
        """
        self._engine = engine
        self._is_client = is_client
        self._streams: dict[int, Stream] = {}
        # Streams with body bytes in the queue.
        self._sending: set[int] = set()
        # Client: requests in their order that are not sent yet, because the server accepts no more streams at a time.
        self._unsent: dict[int, None] = {}
        # Server: streams whose response is complete while their request is not.
        self._answered: set[int] = set()
        self._ping_after_notice = False

    def ping(self) -> None:
        """Send a PING; `ping_acknowledged` reports the answer."""
        self._engine.ping()

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream."""
        self._engine.reset(stream_id, code)
        if stream_id in self._unsent:
            # nghttp2 reports its end only when it would have been sent.
            self._close_stream(stream_id, code)

    def release_credit(self, stream_id: int, size: int) -> None:
        """Allow the peer to send so many bytes more, on this stream and on the connection."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._credit(stream_id, stream, min(size, stream.uncredited))

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

    def _end_local(self, stream_id: int, stream: Stream) -> None:
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

    def _is_over_for_both(self, stream_id: int) -> bool:
        """Whether both sides have ended a stream, and the peer's end has been reported."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.we_ended and stream.peer_ended

    def _credit(self, stream_id: int, stream: Stream, size: int) -> None:
        stream.uncredited -= size
        if size:
            self._engine.credit(stream_id, size)

    def _report_sent(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        queued = self._engine.queued_bytes(stream_id)
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
        for stream_id in [answered for answered in self._answered if self._engine.is_sent(answered)]:
            self._answered.discard(stream_id)
            # The rest of the request need not be sent (RFC 9113, section 8.1).
            self.reset(stream_id, ErrorCode.NO_ERROR)
            before = True
        return before
