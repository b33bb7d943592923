# SPDX-License-Identifier: GPL-3.0-or-later
"""Server side of one HTTP/2 connection: its calls, room for them, ping policy, shutdown."""

from __future__ import annotations

import asyncio
import random
import ssl
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import grpc

from gateway.grpc_h2.errors import Malformed
from gateway.grpc_h2.link import CLOSED_WITHIN_S, Link
from gateway.grpc_h2.metadata import metadata_of
from gateway.grpc_h2.server.budget import STREAM_BYTES
from gateway.grpc_h2.server.call import Call
from gateway.grpc_h2.server.identity import auth_context_of, names_of
from gateway.grpc_h2.server.inflation import Inflation
from gateway.grpc_h2.session_events import Headers
from gateway.grpc_h2.wire import CONTENT_TYPE, RESPONSE, MessageDecoder, status_headers, timeout_s

if TYPE_CHECKING:
    from gateway.grpc_h2.server.server import Server

# gRPC's rule: who asks for signs of life oftener than every ten seconds, with nothing sent between, is warned twice.
_PING_PERIOD_S: Final = 10.0
_PING_STRIKES: Final = 2
_ENHANCE_YOUR_CALM: Final = 11
# From a call's headers to the end of its request, where that is one message.
_REQUEST_WITHIN_S: Final = 30.0
# With more bytes of answers waiting on a connection, no call of it is begun.
_MOST_UNREAD_BYTES: Final = 16 * 1024 * 1024
# A connection that is told to begin nothing more, and whose peer never answers that.
_NOTICE_S: Final = 1.0


class Connection(Link):
    """HTTP/2 with one client."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for its first bytes."""
        super().__init__(loop, is_client=False, max_streams=server.max_streams)
        self.server = server
        self._tls: ssl.SSLObject | None = None
        self.peer_identities: list[bytes] | None = None
        self.peer_identity_key: str | None = None
        self.inflation = Inflation(self, server.inflations, server.max_message_bytes)
        # What the server's budget counts for this connection; the part of it that waits to be sent or to become a call.
        self.kept_bytes = 0
        self._waiting_bytes = 0
        # Calls whose handler runs; others wait for the rest of their request.
        self.served = 0
        self._calls: dict[int, Call] = {}
        self._noticed = self._closing = False
        self._ping_strikes, self._pinged_s = 0, -inf
        self._handshake = loop.call_later(server.handshake_timeout_s, self.abort)
        self._timers.append(self._handshake)

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Ready, after TLS where there is TLS."""
        super().connection_made(transport)
        self._tls = transport.get_extra_info("ssl_object")
        self.peer_identity_key, self.peer_identities = names_of(transport.get_extra_info("peercert"))
        self.server.connections.add(self)
        if (age_s := self.server.max_connection_age_s) is not None:
            # Not all at once where all began at once.
            age_s *= random.uniform(0.9, 1.1)  # noqa: S311  # nothing to guess
            self._later(age_s, self._grow_old)
        self._later(_REQUEST_WITHIN_S / 2, self._sweep)
        if self.server.is_stopping:
            self.leave()
        self.flush_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all calls of the closed connection."""
        if self._transport is None:
            return
        super().connection_lost(exc)
        self.server.connections.discard(self)
        for call in list(self._calls.values()):
            call.closed()
        self._calls.clear()
        self.count_kept(-self.kept_bytes)
        self.server.connection_ended()

    # Session

    def headers_received(self, stream_id: int, headers: Headers) -> None:
        """Begin a call; refuse what is not one with an HTTP status."""
        said = dict(headers)
        if said.get(b":method") != b"POST":
            self.respond(stream_id, [(b":status", b"405"), (b"allow", b"POST")], only=True)
            return
        if not CONTENT_TYPE.match(said.get(b"content-type", b"")):
            self.respond(stream_id, [(b":status", b"415")], only=True)
            return
        try:
            call = self._open(stream_id, said, headers)
        except Malformed as error:
            self._refuse(stream_id, error)
            return
        self._calls[stream_id] = call
        self.tally.begin()
        self.server.tally.begin()
        if self.tally.under_way == 1:
            self.server.active_connections += 1
        self.count_kept(STREAM_BYTES)
        if not call.done():
            call.begin()

    def body_received(self, stream_id: int, data: bytes) -> None:
        """Hand part of a request's body to its call."""
        call = self._calls.get(stream_id)
        if call is None or call.done():
            self.release_credit(stream_id, len(data))
            return
        try:
            if (more := call.feed(data)) > 0:
                self.release_credit(stream_id, more)
        except Malformed as error:
            self.release_credit(stream_id, len(data))
            call.refuse(error.code, error.details)

    def peer_ended(self, stream_id: int) -> None:
        """Tell a call that its request is complete."""
        call = self._calls.get(stream_id)
        if call is None or call.done():
            return
        try:
            call.request_ended()
        except Malformed as error:
            call.refuse(error.code, error.details)

    def ended(self, *, well: bool) -> None:
        """Count a call that has ended."""
        self.tally.end(well=well)
        self.server.tally.end(well=well)
        if not self.tally.under_way:
            self.server.active_connections -= 1

    def count_served(self, change: int) -> None:
        """A handler begins (1), or its call has ended (-1)."""
        self.served += change
        self.server.served += change

    def require_room(self) -> None:
        """Refuse a call for which this connection, or the server, has no room.

        Raises:
            Malformed: there is no room.
        """
        if self.server.is_full_for(self.served, self.tally.under_way):
            raise Malformed(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls are under way")
        if self.queued_bytes > _MOST_UNREAD_BYTES:
            raise Malformed(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self.queued_bytes} bytes of answers on this connection are not read yet",
            )

    def body_sent(self, stream_id: int, queued: int) -> None:
        """Tell a call how much of its reply still waits."""
        self._ping_strikes, self._pinged_s = 0, -inf
        if (call := self._calls.get(stream_id)) is not None:
            call.body_sent(queued)

    def stream_closed(self, stream_id: int, code: int) -> None:
        """Forget a call whose stream is closed."""
        del code
        self._forget(stream_id)
        if self._closing and not self._calls:
            self.flush_soon()

    def count_kept(self, change: int) -> None:
        """Count bytes that this connection has the server keep, or keep no more."""
        self.server.budget.change(self, change)

    def shrink_to(self, level: float) -> None:
        """End the calls for which most is kept, until no more than so many bytes are; they count no more at once."""
        if self._paused:
            # What is written frees nothing, for the peer does not read.
            self.abort()
            self.connection_lost(None)
            return
        left = self.kept_bytes
        for stream_id, call in sorted(self._calls.items(), key=lambda item: item[1].kept_bytes, reverse=True):
            if left <= level:
                break
            left -= call.kept_bytes + STREAM_BYTES
            if call.done():
                self.reset(stream_id, _ENHANCE_YOUR_CALM)
            else:
                call.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "the server keeps too much for this connection")
            self._forget(stream_id)
        if self.pending_header_bytes > level:
            # Of requests that no call has been made of yet.
            self._end_input()
            self.terminate(_ENHANCE_YOUR_CALM, b"too many requests wait")
        # Bodies of streams that are reset are queued until then.
        self._flush()

    def send(self, stream_id: int, head: bytes, data: bytes) -> int:
        """Queue part of a body; see `Session`."""
        queued = super().send(stream_id, head, data)
        self._count_waiting()
        return queued

    def _flush(self) -> None:
        super()._flush()
        self._count_waiting()

    def _count_waiting(self) -> None:
        if self._transport is None:
            return
        waiting = self.queued_bytes + self._transport.get_write_buffer_size() + self.pending_header_bytes
        if waiting != self._waiting_bytes:
            change, self._waiting_bytes = waiting - self._waiting_bytes, waiting
            self.count_kept(change)

    def ping_received(self) -> None:
        """Count pings that come too often, and end the connection of a peer that goes on."""
        now_s = monotonic()
        if now_s - self._pinged_s < _PING_PERIOD_S:
            self._ping_strikes += 1
            if self._ping_strikes > _PING_STRIKES:
                self.terminate(_ENHANCE_YOUR_CALM, b"too_many_pings")
                self._later(CLOSED_WITHIN_S, self.abort)
        self._pinged_s = now_s

    def settings_received(self) -> None:
        """The peer speaks HTTP/2."""
        self._handshake.cancel()

    def ping_acknowledged(self) -> None:
        """The peer has read the shutdown notice: refuse the streams that it opens from now on."""
        self._no_more()

    # Its end

    def leave(self) -> None:
        """Ask the peer to open no more streams, and close when its calls have ended."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self.send_shutdown_notice()
        self._later(_NOTICE_S, self._no_more)
        self.flush_soon()

    def cancel_all(self) -> None:
        """End every call."""
        for call in list(self._calls.values()):
            call.refuse(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        self._no_more()
        self._flush()
        self._close()

    @property
    def is_done(self) -> bool:
        """Whether the connection is shutting down and has no calls left."""
        return self._noticed and not self._calls

    def _no_more(self) -> None:
        if self._closing and not self._noticed:
            self._noticed = True
            self.send_goaway()
            self.flush_soon()

    def _forget(self, stream_id: int) -> None:
        if (call := self._calls.pop(stream_id, None)) is not None:
            self.count_kept(-STREAM_BYTES)
            call.closed()

    def _grow_old(self) -> None:
        self.leave()
        self._later(self.server.max_connection_age_grace_s, self.cancel_all)

    def _open(self, stream_id: int, said: dict[bytes, bytes], headers: Headers) -> Call:
        metadata = metadata_of(headers)
        handler = self.server.handler(said.get(b":path", b"").decode("ascii", "replace"), metadata)
        if handler is None:
            raise Malformed(grpc.StatusCode.UNIMPLEMENTED, "there is no such method")
        self.require_room()
        sharing = self.server.active_connections + (not self.tally.under_way)
        if not self.server.budget.has_room_for_stream(self.tally.under_way, self.server.tally.under_way, sharing):
            raise Malformed(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams are open")
        limit_s = None if (timeout := said.get(b"grpc-timeout")) is None else timeout_s(timeout)
        messages = MessageDecoder(said.get(b"grpc-encoding"), self.server.max_message_bytes)
        accepted = said.get(b"grpc-accept-encoding", b"")
        return Call(self, stream_id, handler, metadata, messages, limit_s, accepted)

    def auth_context(self) -> dict[str, list[bytes]]:
        """How the connection is secured, and who is at its other end."""
        return auth_context_of(self._tls)

    def _sweep(self) -> None:
        """End calls whose request has not been completed in time."""
        latest_s = monotonic() - _REQUEST_WITHIN_S
        for call in list(self._calls.values()):
            if call.waits_for_request and call.began_s < latest_s:
                call.refuse(
                    grpc.StatusCode.DEADLINE_EXCEEDED, f"the request was not whole after {_REQUEST_WITHIN_S:.0f} s"
                )
        self._later(_REQUEST_WITHIN_S / 2, self._sweep)

    def _refuse(self, stream_id: int, error: Malformed) -> None:
        for tally in (self.tally, self.server.tally):
            tally.begin()
            tally.end(well=False)
        self.respond(stream_id, RESPONSE + status_headers(error.code, error.details), only=True)
