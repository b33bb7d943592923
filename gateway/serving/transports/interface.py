# SPDX-License-Identifier: GPL-3.0-or-later
"""What both transports make, and what they make it of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import grpc

from gateway.serving.settings import BackendSettings
from gateway.serving.tls import ServerTls

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Choose: TypeAlias = Callable[[str, Handler], Handler]
"""Of a method's path and its handler, what serves a call of it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes.

    Attributes:
        max_message_bytes: of requests and of replies; None for the transport's own limit of 2 GiB.
        max_streams: calls of one connection at a time; more wait in the client.
        max_calls: calls at a time; more are refused. None for as many as come.
        handshake_timeout_s: from a connection's start to the peer's first words.
        max_connection_age_s: an older connection takes no more calls; None for never.
        max_connection_age_grace_s: so much later its calls are ended.
    """

    max_message_bytes: int
    max_streams: int
    max_calls: int | None = None
    handshake_timeout_s: float = 10.0
    max_connection_age_s: float | None = None
    max_connection_age_grace_s: float = 3600.0


class Server(Protocol):
    """A server of calls; the first two methods are what generated code calls."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Handlers that know themselves which methods are theirs."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Handlers by the names of their methods."""

    def bind(self, host: str, port: int, tls: ServerTls | None = None) -> int:
        """Take an address, and return its port; port 0 takes a free one.

        Raises:
            OSError: it is taken.
        """

    async def start(self) -> None:
        """Take connections."""

    async def stop(self, grace_s: float | None) -> None:
        """Take no more calls; end when those under way have, or are made to after a grace."""

    def close(self) -> None:
        """Give the address back, where the server was never started."""


class Channel(Protocol):
    """A channel; its methods are those of `grpc.aio.Channel` that this project calls."""

    def unary_unary(self, method: str, *how: Any, **options: Any) -> Callable[..., Any]:
        """See `grpc.aio.Channel`."""

    def unary_stream(self, method: str, *how: Any, **options: Any) -> Callable[..., Any]:
        """See `grpc.aio.Channel`."""

    def stream_stream(self, method: str, *how: Any, **options: Any) -> Callable[..., Any]:
        """See `grpc.aio.Channel`."""

    async def close(self, grace: float | None = None) -> None:
        """See `grpc.aio.Channel`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Transport(Protocol):
    """A module of this package."""

    def build_server(self, limits: Limits, choose: Choose | None = None, *, is_shown: bool = False) -> Server:
        """A server that listens nowhere yet.

        Args:
            limits: what it takes.
            choose: see `Choose`; None serves every handler as it is.
            is_shown: by channelz.
        """

    def open_channel(
        self, target: str, max_message_bytes: int, security: BackendSettings, *, is_plain: bool
    ) -> Channel:
        """A channel that balances over all addresses of a name, and comes back within a second.

        Args:
            target: of gRPC.
            max_message_bytes: of requests and of replies.
            security: certificates.
            is_plain: plaintext where other channels use TLS.

        Raises:
            CannotStart: plaintext across a network that nothing allows.
            OSError: a certificate cannot be read.
            ValueError: the target or a certificate makes no sense.
        """

    def add_channelz(self, server: Server, shown: Server) -> None:
        """Add channelz to a server; it shows all channels, and the other server."""
