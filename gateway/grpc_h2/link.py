# SPDX-License-Identifier: GPL-3.0-or-later
"""What client and server connections share: an HTTP/2 session over an asyncio transport."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from gateway.grpc_h2.session import Limits, ProtocolError, Session
from gateway.grpc_h2.tally import NUMBERS, Tally
from gateway.grpc_h2.turns import turns_of

# Only single streams are limited by windows: with one for all of a connection, streams that nobody reads would hold up
# the others. What a connection keeps in all is limited by the server's budget.
_CONNECTION_WINDOW: Final = 2**31 - 1
STREAM_WINDOW: Final = 256 * 1024
"""Received bytes of one stream that may wait to be read."""

# Received bytes are parsed in slices of these sizes, the smaller the more events they mean.
_MIN_SLICE_BYTES: Final = 1024
_MAX_SLICE_BYTES: Final = 16 * 1024
_MANY_EVENTS: Final = 32
# What a server parses before it begins with the first of its requests.
_AHEAD_EVENTS: Final = 1024
_AHEAD_HEADER_BYTES: Final = 256 * 1024
_NOTHING: Final = memoryview(b"")
_MAX_FRAME_BYTES: Final = 128 * 1024
# gRPC's own default for metadata is 8 KB, its hard limit 16.
_MAX_HEADER_BYTES: Final = 16 * 1024
# A connection that is being closed, and whose peer does not take the last of what was sent.
CLOSED_WITHIN_S: Final = 30.0
# RFC 9113, 7.
CANCEL: Final = 8

log = logging.getLogger(__name__)


class Link(Session, asyncio.Protocol):
    """HTTP/2 with one peer."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        is_client: bool,
        max_streams: int = 0,
    ) -> None:
        """Wait for a transport.

        Args:
            loop: where it lives.
            is_client: which side this is.
            max_streams: that a client may have open.
        """
        limits = Limits(
            max_streams=max_streams,
            stream_window=STREAM_WINDOW,
            connection_window=_CONNECTION_WINDOW,
            max_frame_bytes=_MAX_FRAME_BYTES,
            max_header_bytes=_MAX_HEADER_BYTES,
        )
        super().__init__(limits, is_client=is_client)
        self.number = next(NUMBERS)
        self.loop = loop
        self.peer = "unknown:"
        self.tally = Tally()
        self._transport: asyncio.Transport | None = None
        self._paused = self._scheduled = self._reading_paused = self._waits_for_turn = False
        self._turns = turns_of(loop)
        # Received, and not parsed yet; and how much of it is parsed at a time.
        self._unparsed = _NOTHING
        self._slice_bytes = _MIN_SLICE_BYTES
        self._timers: list[asyncio.TimerHandle] = []

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Ready, after TLS where there is TLS."""
        self._transport = transport
        self.peer = _address(transport.get_extra_info("peername"))
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() not in {"h2", None}:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Process bytes from the peer; read no more of them before their events are reported.

        Without the pause libuv reads up to 8 MB of a busy connection before it returns to the event loop.
        """
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._reading_paused = True
        self._unparsed = memoryview(bytes(data))
        if not self._waits_for_turn:
            self.take_turn()

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed."""
        del exc
        self._transport = None
        self._stop_timers()
        self._end_input()
        # Bodies that wait to be sent would be kept until Python looks for cycles.
        self.loop.call_soon(self.close)

    # What is sent, and the end

    @property
    def is_done(self) -> bool:
        """Whether this side has nothing more to do on the connection."""
        return False

    def flush_soon(self) -> None:
        """Coalesce writes until the end of this event-loop iteration."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._send_soon)

    def abort(self) -> None:
        """Close at once."""
        self._stop_timers()
        if self._transport is not None:
            self._transport.abort()

    def take_turn(self) -> bool:
        """Report some events of what was received; returns whether there is more."""
        try:
            left = self._turns.events_a_turn(self, is_client=self._is_client)
            while left > 0 and (self.pending_events or self._parse()):
                if not self._is_client:
                    self._look_ahead()
                left -= max(1, self.report_events(left))
        except ProtocolError:
            self._end_input()
            self._flush()
            self._close()
        except Exception:
            log.exception("a connection failed")
            self._unparsed = _NOTHING
            self.abort()
        more = bool(self.pending_events or self._unparsed)
        if more and not self._waits_for_turn:
            self._turns.add(self)
        self._waits_for_turn = more
        self.flush_soon()
        return more

    def _look_ahead(self) -> None:
        """Parse more of what was received: of requests that are reset further on, nothing more need be done."""
        while self.pending_events < _AHEAD_EVENTS and self.pending_header_bytes < _AHEAD_HEADER_BYTES and self._parse():
            pass

    def _parse(self) -> bool:
        """Parse the next slice of what was received; whether there was one.

        A few bytes of compressed headers can be 64 KiB: a peer whose slices mean many events gets small slices.
        """
        if not self._unparsed:
            return False
        data, self._unparsed = self._unparsed[: self._slice_bytes], self._unparsed[self._slice_bytes :]
        self.receive(data)
        if self.pending_events > _MANY_EVENTS:
            self._slice_bytes = _MIN_SLICE_BYTES
        elif len(data) == self._slice_bytes < _MAX_SLICE_BYTES:
            self._slice_bytes *= 2
        return True

    def _end_input(self) -> None:
        """Nothing more is received. Of requests that were not looked at yet nobody awaits an answer."""
        self._unparsed = _NOTHING
        if self._is_client:
            while self.report_events(_MANY_EVENTS):
                pass
        else:
            self.discard_events()

    def _send_soon(self) -> None:
        """Write what is to be sent; then read on, if all events have been reported."""
        self._scheduled = False
        self._flush()
        if self.pending_events or self._unparsed:
            # Of streams that ended as they were written.
            if not self._waits_for_turn:
                self.take_turn()
        elif self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _flush(self) -> None:
        if self._transport is None:
            return
        try:
            while not self._paused and (data := self.data_to_send()):
                self._transport.write(data)
        except ProtocolError:
            self.abort()
            return
        except Exception:
            log.exception("a connection failed")
            self.abort()
            return
        # What has been received already still counts: answers to a client, requests to a server.
        if not self.pending_events and (self.is_over or (self.is_done and not self._paused)):
            self._close()

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._later(CLOSED_WITHIN_S, self.abort)

    def _later(self, after_s: float, do: Any) -> None:
        now_s = self.loop.time()
        self._timers = [timer for timer in self._timers if timer.when() > now_s]
        self._timers.append(self.loop.call_later(after_s, do))

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()


def _address(peername: Any) -> str:
    """As gRPC writes it."""
    if not isinstance(peername, tuple):
        return "unix:"
    host, port = peername[:2]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
