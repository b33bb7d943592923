# SPDX-License-Identifier: GPL-3.0-or-later
"""What client and server connections share: an HTTP/2 session over an asyncio transport."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from gateway.grpc_h2.session import ProtocolError, Session
from gateway.grpc_h2.tally import NUMBERS, Tally

# Received bytes that may wait to be read: of one stream, and of all streams of a connection. A client limits only
# single streams, so that an answer that nobody reads does not hold up the others.
_STREAM_WINDOW: Final = 1024 * 1024
_SERVER_CONNECTION_WINDOW: Final = 16 * 1024 * 1024
_CLIENT_CONNECTION_WINDOW: Final = 2**31 - 1
# Events of one connection that are handled before other connections have their turn.
_EVENTS_A_TURN: Final = 64
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

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_client: bool, max_streams: int = 0) -> None:
        """Wait for a transport.

        Args:
            loop: where it lives.
            is_client: which side this is.
            max_streams: that a client may have open.
        """
        super().__init__(
            is_client=is_client,
            max_streams=max_streams,
            stream_window=_STREAM_WINDOW,
            connection_window=_CLIENT_CONNECTION_WINDOW if is_client else _SERVER_CONNECTION_WINDOW,
            max_frame_bytes=_MAX_FRAME_BYTES,
            max_header_bytes=_MAX_HEADER_BYTES,
        )
        self.number = next(NUMBERS)
        self.loop = loop
        self.peer = "unknown:"
        self.tally = Tally()
        self._transport: asyncio.Transport | None = None
        self._paused = self._scheduled = self._reading_paused = False
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
        try:
            self.receive(bytes(data))
            self.report_events(_EVENTS_A_TURN)
        except ProtocolError:
            self._report_all()
            self._flush()
            self._close()
        except Exception:
            log.exception("a connection failed")
            self.abort()
        else:
            self.flush_soon()

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

    # What is sent, and the end

    @property
    def is_done(self) -> bool:
        """Whether this side has nothing more to do on the connection."""
        return False

    def flush_soon(self) -> None:
        """Coalesce writes until the end of this event-loop iteration."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def abort(self) -> None:
        """Close at once."""
        self._stop_timers()
        if self._transport is not None:
            self._transport.abort()

    def _turn(self) -> None:
        """This connection's share of one iteration of the event loop: some events, then what is to be sent."""
        self._scheduled = False
        try:
            self.report_events(_EVENTS_A_TURN)
        except Exception:
            log.exception("a connection failed")
            self.abort()
            return
        self._flush()
        if self.has_events:
            self.flush_soon()
        elif self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _report_all(self) -> None:
        while self.report_events(_EVENTS_A_TURN):
            pass

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
        if self.is_over or (self.is_done and not self._paused):
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
