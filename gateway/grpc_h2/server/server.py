# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: where it listens, what it answers, how it ends. Its methods are those of grpc.aio's server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import grpc

from gateway.grpc_h2.link import CLOSED_WITHIN_S
from gateway.grpc_h2.metadata import Metadata
from gateway.grpc_h2.server.budget import Budget
from gateway.grpc_h2.server.connection import Connection
from gateway.grpc_h2.server.large_messages import LargeMessages
from gateway.grpc_h2.tally import Tally

_BACKLOG: Final = 1024
# Requests that are not whole yet take no place; so many of them there may be for each place.
_UNFINISHED_A_PLACE: Final = 4
# For the last words of a server that stops.
_FAREWELL_S: Final = 1.0
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class _Details(grpc.HandlerCallDetails):
    def __init__(self, method: str, metadata: Metadata) -> None:
        self.method = method
        self.invocation_metadata = metadata


class Server:
    """Serves calls in the running loop.

    Attributes:
        connections: open ones.
        tally: of all its calls.
        served: calls whose handler runs.
        active_connections: those with calls that have not ended.
        budget: of the bytes that are kept for connections.
        large: turns of large requests.
        inflations: turns of requests that are large once they are decompressed.
    """

    def __init__(
        self,
        *,
        choose: Callable[[str, Handler], Handler] = lambda _method, handler: handler,
        max_message_bytes: int,
        max_streams: int,
        max_calls: int | None = None,
        handshake_timeout_s: float = 10.0,
        max_connection_age_s: float | None = None,
        max_connection_age_grace_s: float = 3600.0,
    ) -> None:
        """Nothing listens yet.

        Args:
            choose: of a method and its handler, what serves this call.
            max_message_bytes: of requests, and of replies.
            max_streams: of one connection; more wait in the client.
            max_calls: under way at a time; more are refused. None for as many as come.
            handshake_timeout_s: to the peer's first words.
            max_connection_age_s: after it, a tenth more or less, a connection takes no more calls; None for never.
            max_connection_age_grace_s: and so much later those under way are ended.
        """
        self.max_message_bytes = max_message_bytes
        self.max_streams = max_streams
        self.handshake_timeout_s = handshake_timeout_s
        self.max_connection_age_s = max_connection_age_s
        self.max_connection_age_grace_s = max_connection_age_grace_s
        self.connections: set[Connection] = set()
        self.tally = Tally()
        self.accepted = 0
        self.served = self.active_connections = 0
        self.budget = Budget(self.connections)
        self.large, self.inflations = LargeMessages(), LargeMessages()
        self.is_stopping = False
        self._choose = choose
        self._max_calls = max_calls
        self._generic: list[grpc.GenericRpcHandler] = []
        self._registered: dict[str, Handler] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._tls: Callable[[], ssl.SSLContext] | None = None
        self._ended: asyncio.Event = asyncio.Event()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Handlers that say themselves which methods are theirs."""
        self._generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Handlers by the names of their methods."""
        for name, handler in method_handlers.items():
            self._registered[f"/{service_name}/{name}"] = handler

    def bind(self, host: str, port: int, tls: Callable[[], ssl.SSLContext] | None = None) -> int:
        """Take an address, and return its port.

        Args:
            host: to listen on.
            port: 0 takes a free one.
            tls: the context as it is now; another one once certificates have changed. None for plaintext.

        Raises:
            OSError: it is taken.
        """
        try:
            self._socket = _bound(host, port)
        except OSError as error:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise OSError(f"cannot listen on {where}: {error.strerror or error}") from error
        self._socket.setblocking(False)
        self._tls = tls
        bound: int = self._socket.getsockname()[1]
        return bound

    async def start(self) -> None:
        """Take connections.

        Raises:
            RuntimeError: no address was bound.
        """
        if self._socket is None:
            raise RuntimeError("bind an address first")
        # It is the loop's from here on.
        listening, self._socket = self._socket, None
        secure: dict[str, Any] = {}
        if self._tls is not None:
            secure = {
                "ssl": _current(self._tls),
                "ssl_handshake_timeout": self.handshake_timeout_s,
                "ssl_shutdown_timeout": CLOSED_WITHIN_S,
            }
        self._listening = await asyncio.get_running_loop().create_server(
            self._accept, sock=listening, backlog=_BACKLOG, **secure
        )

    def close(self) -> None:
        """Give the address back, where it was never listened on."""
        if self._socket is not None:
            self._socket.close()

    async def stop(self, grace_s: float | None) -> None:
        """Take no more calls; end when those under way have, or are made to after a grace."""
        self.is_stopping = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self.connections):
            connection.leave()
        await self._until_all_are_closed(grace_s or 0.0)
        for connection in list(self.connections):
            connection.cancel_all()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL_S)
        await self._until_all_are_closed(_FAREWELL_S)
        for connection in list(self.connections):
            connection.abort()

    # What connections ask.

    def is_full_for(self, served: int, under_way: int) -> bool:
        """Whether a connection gets no place for another call.

        Once all are taken, only connections with less than an equal share get one.

        Args:
            served: calls of the connection whose handler runs.
            under_way: the same, and those whose request is not whole.
        """
        if self._max_calls is None:
            return False
        sharing = max(1, self.active_connections)
        most_under_way = self._max_calls * _UNFINISHED_A_PLACE
        return (self.served >= self._max_calls and served >= self._max_calls // sharing) or (
            self.tally.under_way >= most_under_way and under_way >= most_under_way // sharing
        )

    def handler(self, method: str, metadata: Metadata) -> Handler | None:
        """What serves a call; None where there is no such method."""
        found = self._registered.get(method)
        if found is None:
            details = _Details(method, metadata)
            found = next(
                (served for generic in self._generic if (served := generic.service(details)) is not None), None
            )
        return None if found is None else self._choose(method, found)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """A call under way, until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connection_ended(self) -> None:
        """One is closed."""
        self._ended.set()

    async def _until_all_are_closed(self, at_most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                while self.connections:
                    self._ended.clear()
                    await self._ended.wait()

    def _accept(self) -> Connection:
        self.accepted += 1
        return Connection(self, asyncio.get_running_loop())


def _bound(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    listening = socket.socket(family, kind, proto)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "[::]" stands for both, as it does in gRPC.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _current(tls: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """A context that has each handshake begin with what certificates are now: ours, and whose a client's may be."""

    def renew(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = tls()

    first = tls()
    # Called in every handshake, whether the client names a server or not.
    first.sni_callback = renew
    return first
