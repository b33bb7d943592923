# SPDX-License-Identifier: GPL-3.0-or-later
"""Client side of one HTTP/2 connection: its attempts, keepalive, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final

import grpc

from gateway.grpc_h2.client.attempt import Attempt, NoStreamLeft
from gateway.grpc_h2.link import Link

if TYPE_CHECKING:
    from gateway.grpc_h2.session_events import Headers

# With calls under way and nothing heard for so long, the server is asked for a sign of life, and given so long for it.
# Ours take a question every ten seconds.
KEEPALIVE_PERIOD_S: Final = 20.0
KEEPALIVE_TIMEOUT_S: Final = 5.0


class Connection(Link):
    """HTTP/2 with one server.

    Attributes:
        ready: done when the server has shown that it speaks HTTP/2; fails where it does not.
        gone: done when it takes no more calls; those under way may go on.
        closed: done when it is no more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, open_ones: set[Connection]) -> None:
        """Wait for a transport.

        Args:
            loop: where it lives.
            open_ones: where it is while it is open.
        """
        super().__init__(loop, is_client=True)
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self.gone: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._open_ones = open_ones
        self._attempts: dict[int, Attempt] = {}
        self._heard = False
        self._later(KEEPALIVE_PERIOD_S, self._beat)

    def begin(self, attempt: Attempt, headers: Headers) -> int:
        """Send an attempt's headers, and return the name of its stream.

        Raises:
            NoStreamLeft: there is none.
        """
        stream_id = self.request(headers)
        if not stream_id:
            self.leave()
            raise NoStreamLeft
        self._attempts[stream_id] = attempt
        self.tally.begin()
        self.flush_soon()
        return stream_id

    def leave(self) -> None:
        """Take no more calls, and close when those under way have ended."""
        if not self.gone.done():
            self.gone.set_result(None)
            self.flush_soon()

    def cancel_all(self) -> None:
        """Cancel every call."""
        for attempt in list(self._attempts.values()):
            attempt.cancel_call()
        self.flush_soon()

    def abort(self) -> None:
        """Close at once."""
        super().abort()
        if not self.ready.done():
            # uvloop closes the transport of an attempt to connect that is cancelled, and does not report it as lost.
            self.connection_lost(None)

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """There is a transport."""
        if self.closed.done():
            # Given up while it was being connected.
            transport.abort()
            return
        super().connection_made(transport)
        self._open_ones.add(self)
        wire = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            # A machine that is gone without a word does not acknowledge either.
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(KEEPALIVE_TIMEOUT_S * 1000))
        self.flush_soon()

    def data_received(self, data: bytes) -> None:
        """Bytes of the server."""
        self._heard = True
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all attempts under way."""
        if self.closed.done():
            return
        super().connection_lost(exc)
        self._open_ones.discard(self)
        self.closed.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(str(exc or "the server closed the connection")))
        self.leave()
        self._lose_all()

    # Session

    def headers_received(self, stream_id: int, headers: Headers) -> None:
        """The head of an answer, or its end."""
        if (attempt := self._attempts.get(stream_id)) is not None:
            attempt.headers_received(headers)

    def body_received(self, stream_id: int, data: bytes) -> None:
        """A part of an answer."""
        attempt = self._attempts.get(stream_id)
        if (more := len(data) if attempt is None else attempt.body_received(data)) > 0:
            self.release_credit(stream_id, more)

    def peer_ended(self, stream_id: int) -> None:
        """An answer is whole."""
        if (attempt := self._attempts.get(stream_id)) is not None:
            attempt.peer_ended()

    def body_sent(self, stream_id: int, queued: int) -> None:
        """A part of a request is on its way."""
        if (attempt := self._attempts.get(stream_id)) is not None:
            attempt.body_sent(queued)

    def stream_closed(self, stream_id: int, code: int) -> None:
        """An attempt is over, one way or another."""
        if (attempt := self._attempts.pop(stream_id, None)) is not None:
            attempt.closed(code)
            self._ended(attempt)
        if self.is_done:
            self.flush_soon()

    def settings_received(self) -> None:
        """The server speaks HTTP/2."""
        if not self.ready.done():
            self.ready.set_result(None)

    def goaway_received(self) -> None:
        """The server takes no more calls here."""
        self.leave()

    @property
    def is_done(self) -> bool:
        """Whether it takes no more calls, and has none."""
        return self.gone.done() and not self._attempts

    def _close(self) -> None:
        """Fail all attempts now; the transport may take longer to close."""
        super()._close()
        self.leave()
        self._lose_all()

    def _lose_all(self) -> None:
        attempts, self._attempts = self._attempts, {}
        for stream_id, attempt in attempts.items():
            attempt.lost(unseen=stream_id in self._unsent)
            self._ended(attempt)

    def _ended(self, attempt: Attempt) -> None:
        self.tally.end(well=attempt.ended is not None and attempt.ended.code is grpc.StatusCode.OK)

    def _beat(self) -> None:
        if self._attempts and not self._heard:
            self.ping()
            self._later(KEEPALIVE_TIMEOUT_S, self._listen)
            self.flush_soon()
        self._heard = False
        self._later(KEEPALIVE_PERIOD_S, self._beat)

    def _listen(self) -> None:
        if not self._heard:
            self.abort()
