# SPDX-License-Identifier: GPL-3.0-or-later
"""A channel: calls go to all addresses of a name in turns, and its connections mend themselves."""

from __future__ import annotations

import asyncio
import random
import ssl
import weakref
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Self

import grpc

from gateway.grpc_h2.client.call import Call, Method
from gateway.grpc_h2.client.connection import Connection
from gateway.grpc_h2.client.ended import Ended
from gateway.grpc_h2.client.subchannel import Subchannel
from gateway.grpc_h2.client.target import Address, parse_target
from gateway.grpc_h2.tally import NUMBERS, Tally
from gateway.grpc_h2.wire import REQUEST

_CONNECTED_WITHIN_S: Final = 5.0
# A name is asked for again when a connection fails or ends; gRPC's 30 s between two questions lost calls in a rollout
# (24 of 2,492; with 500 ms none of 5,083).
_LOOKUP_PERIOD_S: Final = 0.5
_FAREWELL_S: Final = 1.0

CHANNELS: Final[weakref.WeakSet[Channel]] = weakref.WeakSet()
"""All of this process, for channelz."""


class Channel:
    """Makes calls in the running loop; it connects when it is first used.

    Attributes:
        target: as it was given.
        number: its name in channelz.
        connections: open ones, those included that take no more calls.
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
    ) -> None:
        """Nothing is connected yet.

        Args:
            target: of gRPC, see `parse_target`.
            max_message_bytes: of requests, and of replies.
            tls: the context as it is now; another one once certificates have changed. None for plaintext.
            server_name: in the server's certificate, where it is not the target's host.

        Raises:
            ValueError: the target is none, or the name can be in no certificate.
        """
        self.target = target
        self.number = next(NUMBERS)
        self.connections: set[Connection] = set()
        self.tally = Tally()
        self.max_message_bytes = max_message_bytes
        self._name = parse_target(target)
        self._tls = tls
        self._context = None if tls is None else tls()
        self._server_name = server_name or self._name.host
        self._authority = server_name or self._name.authority
        if self._context is not None:
            # Said here rather than at every handshake.
            self._context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=self._server_name)
        self._subchannels: dict[Address, Subchannel] = {}
        self._ready: list[Connection] = []
        self._turn = random.randrange(1 << 16)  # noqa: S311  # nothing to guess
        self._lookup: asyncio.Task[None] | None = None
        self._lookup_wanted = asyncio.Event()
        self._lookup_failure = ""
        self._changed = asyncio.Event()
        self._closed = False
        CHANNELS.add(self)

    # What stubs ask for.

    def unary_unary(self, method: str, *how: Any, **options: Any) -> Callable[..., Call]:
        """See `grpc.aio.Channel`; of a call's options there are `timeout` (s) and `metadata`."""
        called = self._method(method, *how, **options)

        def ask(request: Any, *, timeout: float | None = None, metadata: Any = None) -> Call:
            call = Call(self, called, timeout, metadata, request=request)
            call.start()
            return call

        return ask

    def unary_stream(self, method: str, *how: Any, **options: Any) -> Callable[..., Call]:
        """See `grpc.aio.Channel`; a call begins when its first reply is asked for."""
        called = self._method(method, *how, **options)

        def ask(request: Any, *, timeout: float | None = None, metadata: Any = None) -> Call:
            return Call(self, called, timeout, metadata, request=request)

        return ask

    def stream_stream(self, method: str, *how: Any, **options: Any) -> Callable[..., Call]:
        """See `grpc.aio.Channel`; a call begins when its first reply is asked for."""
        called = self._method(method, *how, **options)

        def ask(requests: AsyncIterator[Any], *, timeout: float | None = None, metadata: Any = None) -> Call:
            return Call(self, called, timeout, metadata, requests=requests)

        return ask

    async def close(self, grace: float | None = None) -> None:
        """End: at once, or when calls under way have, after a grace (s) at the latest."""
        self._closed = True
        ending = [subchannel.close() for subchannel in self._subchannels.values()]
        if self._lookup is not None:
            self._lookup.cancel()
            ending.append(self._lookup)
        self._subchannels.clear()
        self._update()
        if ending:
            await asyncio.wait(ending)
        for connection in list(self.connections):
            connection.leave()
        await self._until_closed(grace or 0.0)
        for connection in list(self.connections):
            connection.cancel_all()
        await self._until_closed(_FAREWELL_S)
        for connection in list(self.connections):
            connection.abort()
        await self._until_closed(_FAREWELL_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # What calls ask for.

    def pick(self) -> Connection | None:
        """The connection whose turn it is; None while there is none."""
        if self._tls is not None and (context := self._tls()) is not self._context:
            self._context = context
            for subchannel in self._subchannels.values():
                subchannel.renew()
        ready = self._ready
        for _ in ready:
            self._turn = (self._turn + 1) % len(ready)
            if not ready[self._turn].gone.done():
                return ready[self._turn]
        return None

    @property
    def is_connected(self) -> bool:
        """Whether a call would be sent at once."""
        return any(not connection.gone.done() for connection in self._ready)

    @property
    def is_used(self) -> bool:
        """Whether it has begun to connect."""
        return self._lookup is not None

    async def connected(self) -> str:
        """Wait for a connection; why there is none, or nothing where there is one.

        Raises:
            grpc.aio.AioRpcError: there will be none.
        """
        if self._lookup is None and not self._closed:
            self._lookup = asyncio.get_running_loop().create_task(self._follow())
        while True:
            if self._closed:
                raise Ended(grpc.StatusCode.CANCELLED, "the channel is closed").error()
            if self.is_connected:
                return ""
            failures = [subchannel.failure for subchannel in self._subchannels.values()] or [self._lookup_failure]
            if all(failures):
                return f"no address of {self.target} can be reached; the last one: {failures[-1]}"
            await self._changed.wait()

    # How it keeps connected.

    async def _follow(self) -> None:
        """Have a subchannel for each address that the name has now, until cancelled."""
        while True:
            self._lookup_wanted.clear()
            try:
                addresses = await self._name.addresses()
            except OSError as error:
                # Those known so far may still be right.
                self._lookup_failure = str(error)
                self._lookup_wanted.set()
            else:
                self._lookup_failure = ""
                self._have(addresses)
            self._update()
            await asyncio.sleep(_LOOKUP_PERIOD_S)
            await self._lookup_wanted.wait()

    def _have(self, addresses: list[Address]) -> None:
        for address in [known for known in self._subchannels if known not in addresses]:
            self._subchannels.pop(address).close()
        for address in addresses:
            if address not in self._subchannels:
                self._subchannels[address] = Subchannel(address, self._connect, self._subchannel_changed)

    def _subchannel_changed(self, worse: bool) -> None:
        if worse:
            self._lookup_wanted.set()
        self._update()

    def _update(self) -> None:
        self._ready = [
            subchannel.connection for subchannel in self._subchannels.values() if subchannel.connection is not None
        ]
        self._changed.set()
        self._changed = asyncio.Event()

    async def _connect(self, address: Address) -> Connection:
        """A connection over which the server has spoken.

        Raises:
            OSError: there is none.
        """
        loop = asyncio.get_running_loop()
        context = None if self._tls is None else self._tls()
        secure: dict[str, Any] = {}
        if context is not None:
            secure = {"ssl": context, "server_hostname": self._server_name}
        connection = Connection(loop, self.connections)
        try:
            async with asyncio.timeout(_CONNECTED_WITHIN_S):
                if address.is_path:
                    await loop.create_unix_connection(lambda: connection, address.host, **secure)
                else:
                    await loop.create_connection(lambda: connection, address.host, address.port, **secure)
                await connection.ready
        except BaseException:
            connection.abort()
            raise
        if self._tls is not None and self._tls() is not context:
            # Others by now: the next connection has them.
            connection.leave()
        return connection

    async def _until_closed(self, at_most_s: float) -> None:
        if self.connections:
            await asyncio.wait([connection.closed for connection in self.connections], timeout=at_most_s)

    def _method(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        **_: Any,
    ) -> Method:
        """Of what stubs say; their other options are for other channels."""
        scheme = b"http" if self._tls is None else b"https"
        first = [
            (b":method", b"POST"),
            (b":scheme", scheme),
            (b":path", path.encode()),
            (b":authority", self._authority.encode()),
        ]
        return Method(first + REQUEST, request_serializer, response_deserializer)
