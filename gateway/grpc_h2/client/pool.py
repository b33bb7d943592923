# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections of a channel: one to each address of its target, each mended when it breaks."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from typing import Any, Final

from gateway.grpc_h2.client.connection import Connection
from gateway.grpc_h2.client.subchannel import Subchannel
from gateway.grpc_h2.client.target import Address, Target

_CONNECTED_WITHIN_S: Final = 5.0
# A name is asked for again when a connection fails or ends; gRPC's 30 s between two questions lost calls in a rollout
# (24 of 2,492; with 500 ms none of 5,083).
_LOOKUP_PERIOD_S: Final = 0.5


class Pool:
    """Connections to all addresses of a target.

    Attributes:
        connections: open ones, those included that take no more calls.
    """

    def __init__(self, target: Target, tls: Callable[[], ssl.SSLContext] | None, server_name: str) -> None:
        """Nothing is connected before `connect`.

        Args:
            target: where to connect to.
            tls: the context as it is now; another one once certificates have changed. None for plaintext.
            server_name: in the server's certificate.

        Raises:
            ValueError: the name can be in no certificate.
        """
        self.connections: set[Connection] = set()
        self._name = target
        self._tls = tls
        self._context = None if tls is None else tls()
        self._server_name = server_name
        if self._context is not None:
            # Raised here rather than at every handshake.
            self._context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=server_name)
        self._subchannels: dict[Address, Subchannel] = {}
        self._ready: list[Connection] = []
        self._turn = random.randrange(1 << 16)  # noqa: S311  # nothing to guess
        self._lookup: asyncio.Task[None] | None = None
        self._lookup_wanted = asyncio.Event()
        self._lookup_failure = ""
        self._changed = asyncio.Event()

    def connect(self) -> None:
        """Begin to connect; does nothing after the first time."""
        if self._lookup is None:
            self._lookup = asyncio.get_running_loop().create_task(self._follow())

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
    def is_used(self) -> bool:
        """Whether it has begun to connect."""
        return self._lookup is not None

    @property
    def is_connected(self) -> bool:
        """Whether a call would be sent at once."""
        return any(not connection.gone.done() for connection in self._ready)

    @property
    def failure(self) -> str:
        """Why no address can be reached; empty where one is connected, or still tried."""
        failures = [subchannel.failure for subchannel in self._subchannels.values()] or [self._lookup_failure]
        return "" if self.is_connected or not all(failures) else failures[-1]

    async def change(self) -> None:
        """Wait until something of the above may be another."""
        await self._changed.wait()

    def disconnect(self) -> list[asyncio.Task[None]]:
        """Connect no more; connections take no more calls. Returns what is done soon."""
        ending = [subchannel.close() for subchannel in self._subchannels.values()]
        if self._lookup is not None:
            self._lookup.cancel()
            ending.append(self._lookup)
        self._subchannels.clear()
        self._update()
        return ending

    async def until_closed(self, at_most_s: float) -> None:
        """Wait until no connection is open."""
        if self.connections:
            await asyncio.wait([connection.closed for connection in self.connections], timeout=at_most_s)

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
