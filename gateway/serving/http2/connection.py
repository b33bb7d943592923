# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection: its bytes, its calls, its manners, its end."""

from __future__ import annotations

import asyncio
import random
import re
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog

from gateway.serving.http2._session import ProtocolError, Session
from gateway.serving.http2.call import Call
from gateway.serving.http2.tally import Tally
from gateway.serving.http2.wire import RESPONSE, Headers, Malformed, Unframed, metadata_of, timeout_s, trailers

if TYPE_CHECKING:
    from gateway.serving.http2.server import Server

_STREAM_WINDOW: Final = 1024 * 1024
_CONNECTION_WINDOW: Final = 16 * 1024 * 1024
_MAX_FRAME_BYTES: Final = 128 * 1024
# gRPC's own default for metadata is 8 KB, its hard limit 16.
_MAX_HEADER_BYTES: Final = 16 * 1024
# gRPC's rule: who asks for signs of life oftener than every ten seconds, with nothing sent between, is warned twice.
_PING_PERIOD_S: Final = 10.0
_PING_STRIKES: Final = 2
_ENHANCE_YOUR_CALM: Final = 11
_CONTENT_TYPE: Final = re.compile(rb"application/grpc(?:[+;]|\Z)")
# A connection that is told to begin nothing more, and whose peer never answers that.
_NOTICE_S: Final = 1.0
# A connection that is being closed, and whose peer does not take the last of what was sent.
CLOSED_WITHIN_S: Final = 30.0

log = structlog.get_logger()


class Connection(Session, asyncio.Protocol):
    """HTTP/2 with one client."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, number: int) -> None:
        """Wait for its first bytes."""
        super().__init__(
            max_streams=server.max_streams,
            stream_window=_STREAM_WINDOW,
            connection_window=_CONNECTION_WINDOW,
            max_frame_bytes=_MAX_FRAME_BYTES,
            max_header_bytes=_MAX_HEADER_BYTES,
        )
        self.server = server
        self.loop = loop
        self.number = number
        self.tally = Tally()
        self.peer = "unknown:"
        self.peer_identities: list[bytes] | None = None
        self.peer_identity_key: str | None = None
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, Call] = {}
        self._paused = self._scheduled = self._noticed = self._closing = False
        self._ping_strikes, self._pinged_s = 0, -inf
        self._timers = [loop.call_later(server.handshake_timeout_s, self.abort)]

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Ready, after TLS where there is TLS."""
        self._transport = transport
        self.peer = _address(transport.get_extra_info("peername"))
        if (certificate := transport.get_extra_info("peercert")) is not None:
            self.peer_identity_key, self.peer_identities = _names(certificate)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() not in {"h2", None}:
            self.abort()
            return
        self.server.connections.add(self)
        if (age_s := self.server.max_connection_age_s) is not None:
            # Not all at once where all began at once.
            age_s *= random.uniform(0.9, 1.1)  # noqa: S311  # nothing to guess
            self._timers.append(self.loop.call_later(age_s, self._grow_old))
        if self.server.is_stopping:
            self.leave()
        self.flush_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever its calls were doing is of no more use."""
        del exc
        self.server.connections.discard(self)
        self._transport = None
        self._stop_timers()
        for call in list(self._calls.values()):
            call.closed()
        self._calls.clear()
        self.server.connection_ended()

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer."""
        try:
            self.receive(bytes(data))
        except ProtocolError:
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
        """It does again."""
        self._paused = False
        self._flush()

    # Session

    def request_began(self, stream_id: int, headers: Headers) -> None:
        """A call, or something else that is refused in HTTP's words."""
        said = dict(headers)
        if said.get(b":method") != b"POST":
            self.respond(stream_id, [(b":status", b"405")], only=True)
            return
        if not _CONTENT_TYPE.match(said.get(b"content-type", b"")):
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
        call.begin()

    def data_came(self, stream_id: int, data: bytes) -> None:
        """A part of a call's request."""
        call = self._calls.get(stream_id)
        if call is None or call.done():
            self.consumed(stream_id, len(data))
            return
        try:
            if (more := call.feed(data)) > 0:
                self.consumed(stream_id, more)
        except Malformed as error:
            self.consumed(stream_id, len(data))
            call.refuse(error.code, error.details)

    def request_ended(self, stream_id: int) -> None:
        """A call's request is whole."""
        call = self._calls.get(stream_id)
        if call is None or call.done():
            return
        try:
            call.request_ended()
        except Malformed as error:
            call.refuse(error.code, error.details)

    def ended(self, *, well: bool) -> None:
        """A call has."""
        self.tally.end(well=well)
        self.server.tally.end(well=well)

    def data_left(self, stream_id: int, queued: int) -> None:
        """A part of a reply is on its way."""
        self._ping_strikes, self._pinged_s = 0, -inf
        if (call := self._calls.get(stream_id)) is not None:
            call.data_left(queued)

    def stream_closed(self, stream_id: int, code: int) -> None:
        """A call is over, one way or another."""
        del code
        if (call := self._calls.pop(stream_id, None)) is not None:
            call.closed()
        if self._closing and not self._calls:
            self.flush_soon()

    def ping_came(self) -> None:
        """A sign of life, asked for in season or not."""
        now_s = monotonic()
        if now_s - self._pinged_s < _PING_PERIOD_S:
            self._ping_strikes += 1
            if self._ping_strikes > _PING_STRIKES:
                self.give_up(_ENHANCE_YOUR_CALM, b"too_many_pings")
                self._timers.append(self.loop.call_later(CLOSED_WITHIN_S, self.abort))
        self._pinged_s = now_s

    def settings_came(self) -> None:
        """The peer speaks HTTP/2."""
        self._timers[0].cancel()

    def pong_came(self) -> None:
        """The peer has read the notice: what it begins from here on, it begins in spite of it."""
        self._no_more()

    # Its end

    def leave(self) -> None:
        """Tell the peer to begin nothing more here, and close when what it began is done."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self.give_notice()
        self._timers.append(self.loop.call_later(_NOTICE_S, self._no_more))
        self.flush_soon()

    def cancel_all(self) -> None:
        """End every call."""
        for call in list(self._calls.values()):
            call.refuse(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        self._no_more()
        self._flush()
        self._close()

    def abort(self) -> None:
        """Close at once."""
        self._stop_timers()
        if self._transport is not None:
            self._transport.abort()

    def flush_soon(self) -> None:
        """Send what is to be sent, when all that is ready has said its part."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._transport is None:
            return
        try:
            while not self._paused and (data := self.take()):
                self._transport.write(data)
        except ProtocolError:
            self.abort()
            return
        except Exception:
            log.exception("a connection failed")
            self.abort()
            return
        if self.is_over or (self._noticed and not self._calls and not self._paused):
            self._close()

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._timers.append(self.loop.call_later(CLOSED_WITHIN_S, self.abort))

    def _no_more(self) -> None:
        if self._closing and not self._noticed:
            self._noticed = True
            self.take_no_more()
            self.flush_soon()

    def _grow_old(self) -> None:
        self.leave()
        self._timers.append(self.loop.call_later(self.server.max_connection_age_grace_s, self.cancel_all))

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _open(self, stream_id: int, said: dict[bytes, bytes], headers: Headers) -> Call:
        metadata = metadata_of(headers)
        handler = self.server.handler(said.get(b":path", b"").decode("ascii", "replace"), metadata)
        if handler is None:
            raise Malformed(grpc.StatusCode.UNIMPLEMENTED, "there is no such method")
        if self.server.is_full:
            raise Malformed(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls are under way")
        limit_s = None if (timeout := said.get(b"grpc-timeout")) is None else timeout_s(timeout)
        unframed = Unframed(said.get(b"grpc-encoding"), self.server.max_message_bytes)
        return Call(self, stream_id, handler, metadata, unframed, limit_s)

    def _refuse(self, stream_id: int, error: Malformed) -> None:
        for tally in (self.tally, self.server.tally):
            tally.begin()
            tally.end(well=False)
        self.respond(stream_id, RESPONSE + trailers(error.code, error.details, ()), only=True)


def _address(peername: Any) -> str:
    """As gRPC writes it."""
    if not isinstance(peername, tuple):
        return "unix:"
    host, port = peername[:2]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def _names(certificate: dict[str, Any]) -> tuple[str | None, list[bytes] | None]:
    """Those that gRPC would name: the alternative ones, or else the common one."""
    alternative = [str(name).encode() for kind, name in certificate.get("subjectAltName", ())]
    if alternative:
        return "x509_subject_alternative_name", alternative
    common = [
        str(value).encode() for part in certificate.get("subject", ()) for key, value in part if key == "commonName"
    ]
    return ("x509_common_name", common) if common else (None, None)
