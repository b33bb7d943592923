# SPDX-License-Identifier: GPL-3.0-or-later
"""A channel: what grpc.aio's channels do, over connections that mend themselves."""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable, Container
from types import TracebackType
from typing import Any, Final, Self

import grpc

from gateway.grpc_h2.client.connection import Connection
from gateway.grpc_h2.client.method import Method
from gateway.grpc_h2.client.multi_callables import (
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
)
from gateway.grpc_h2.client.pool import Pool
from gateway.grpc_h2.client.target import parse_target
from gateway.grpc_h2.tally import NUMBERS, Tally
from gateway.grpc_h2.wire import REQUEST

# For the last frames of connections that are closed.
_FAREWELL_S: Final = 1.0

CHANNELS: Final[weakref.WeakSet[Channel]] = weakref.WeakSet()
"""All of this process, for channelz."""


class Channel:
    """Makes calls in the running loop; it connects when it is first used.

    Attributes:
        target: as it was given.
        number: its name in channelz.
        tally: of all its calls.
        max_message_bytes: of requests, and of replies.
    """

    def __init__(
        self,
        target: str,
        *,
        max_message_bytes: int,
        tls: Callable[[], ssl.SSLContext] | None = None,
        server_name: str | None = None,
        idempotent: Container[str] = frozenset(),
    ) -> None:
        """Nothing is connected yet.

        Args:
            target: of gRPC, see `parse_target`.
            max_message_bytes: of requests, and of replies.
            tls: the context as it is now; another one once certificates have changed. None for plaintext.
            server_name: in the server's certificate, where it is not the target's host.
            idempotent: methods ("/package.Service/Method") that a server may be asked for twice. A call of these is
                tried again after UNAVAILABLE; any other only if no server has seen it.

        Raises:
            ValueError: the target is none, or the name can be in no certificate.
        """
        self.target = target
        self.number = next(NUMBERS)
        self.tally = Tally()
        self.max_message_bytes = max_message_bytes
        name = parse_target(target)
        self._pool = Pool(name, tls, server_name or name.host)
        self.pick = self._pool.pick
        self._scheme = b"http" if tls is None else b"https"
        self._authority = (server_name or name.authority).encode()
        self._idempotent = idempotent
        # Takes no more calls; connects no more.
        self._closing = self._closed = False
        # Calls that wait for a connection, or for another attempt.
        self._waiting: set[asyncio.Task[None]] = set()
        CHANNELS.add(self)

    # grpc.aio.Channel

    def unary_unary(self, method: str, *how: Any, **options: Any) -> UnaryUnaryMultiCallable:
        """See `grpc.aio.Channel`; a call is sent at once where there is a connection."""
        return UnaryUnaryMultiCallable(self, self._method(method, *how, one_reply=True, **options))

    def unary_stream(self, method: str, *how: Any, **options: Any) -> UnaryStreamMultiCallable:
        """See `grpc.aio.Channel`."""
        return UnaryStreamMultiCallable(self, self._method(method, *how, one_reply=False, **options))

    def stream_unary(self, method: str, *how: Any, **options: Any) -> StreamUnaryMultiCallable:
        """See `grpc.aio.Channel`."""
        return StreamUnaryMultiCallable(self, self._method(method, *how, one_reply=True, **options))

    def stream_stream(self, method: str, *how: Any, **options: Any) -> StreamStreamMultiCallable:
        """See `grpc.aio.Channel`."""
        return StreamStreamMultiCallable(self, self._method(method, *how, one_reply=False, **options))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Whether it is connected; of several addresses one is enough."""
        if self._closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        used = self._pool.is_used
        if try_to_connect:
            self._pool.connect()
        if not used:
            return grpc.ChannelConnectivity.IDLE
        if self._pool.is_connected:
            return grpc.ChannelConnectivity.READY
        failed = self._pool.failure
        return grpc.ChannelConnectivity.TRANSIENT_FAILURE if failed else grpc.ChannelConnectivity.CONNECTING

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another one.

        Raises:
            grpc.aio.UsageError: the channel was closed before.
        """
        self.require_open()
        while self.get_state() is last_observed_state:
            await self._pool.change()

    async def channel_ready(self) -> None:
        """Connect, and wait for it.

        Raises:
            grpc.aio.UsageError: the channel is closed.
        """
        while (state := self.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self.wait_for_state_change(state)

    async def close(self, grace: float | None = None) -> None:
        """End: at once, or when calls under way have, after a grace (s) at the latest."""
        self._closing = True
        if grace and self._waiting:
            began_s = asyncio.get_running_loop().time()
            await asyncio.wait(self._waiting, timeout=grace)
            grace -= asyncio.get_running_loop().time() - began_s
        self._closed = True
        ending = self._pool.disconnect()
        if ending:
            await asyncio.wait(ending)
        for connection in list(self.connections):
            connection.leave()
        await self._pool.until_closed(max(0.0, grace or 0.0))
        for connection in list(self.connections):
            connection.cancel_all()
        await self._pool.until_closed(_FAREWELL_S)
        for connection in list(self.connections):
            connection.abort()
        await self._pool.until_closed(_FAREWELL_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # For calls, and for channelz.

    pick: Callable[[], Connection | None]
    """The connection whose turn it is; None while there is none."""

    @property
    def connections(self) -> set[Connection]:
        """Open ones, those included that take no more calls."""
        return self._pool.connections

    @property
    def is_connected(self) -> bool:
        """Whether a call would be sent at once."""
        return self._pool.is_connected

    @property
    def is_used(self) -> bool:
        """Whether it has begun to connect."""
        return self._pool.is_used

    def require_open(self) -> None:
        """Refuse a use after `close`.

        Raises:
            grpc.aio.UsageError: it is closed.
        """
        if self._closing:
            raise grpc.aio.UsageError("Channel is closed.")

    def keep(self, waiting: asyncio.Task[None]) -> None:
        """A call that waits for a connection, until it has one."""
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    async def connected(self, *, wait_for_ready: bool = False) -> str:
        """Wait for a connection; why there is none, or nothing where there is one.

        Args:
            wait_for_ready: however long it takes, and however often it fails.

        Raises:
            grpc.aio.UsageError: the channel is closed.
        """
        while True:
            if self._closed:
                raise grpc.aio.UsageError("Channel is closed.")
            self._pool.connect()
            if self.is_connected:
                return ""
            if (failure := self._pool.failure) and not wait_for_ready:
                return f"no address of {self.target} can be reached; the last one: {failure}"
            await self._pool.change()

    def _method(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool | None = False,
        *,
        one_reply: bool,
    ) -> Method:
        """Of what generated stubs give; gRPC's core alone makes use of the last one."""
        headers = [
            (b":method", b"POST"),
            (b":scheme", self._scheme),
            (b":path", path.encode()),
            (b":authority", self._authority),
        ]
        return Method(
            headers + REQUEST,
            request_serializer,
            response_deserializer,
            idempotent=path in self._idempotent,
            one_reply=one_reply,
        )


grpc.aio.Channel.register(Channel)
