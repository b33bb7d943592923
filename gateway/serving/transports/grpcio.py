# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport `grpcio`: servers and channels of grpc.aio, whose core has threads of its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from grpc_channelz.v1 import channelz

from gateway.serving.idempotent import IDEMPOTENT
from gateway.serving.settings import BackendSettings
from gateway.serving.tls import ServerTls
from gateway.serving.transports.grpcio_tls import channel_credentials, server_credentials
from gateway.serving.transports.interface import Choose, Handler, Limits
from gateway.serving.transports.renewing_channel import RenewingChannel

if TYPE_CHECKING:
    from gateway.serving.transports.interface import Channel
    from gateway.serving.transports.interface import Server as AnyServer

# gRPC has one limit, of two GiB, above all others.
_MOST_MESSAGE_BYTES: Final = 2**31 - 1
# Calls of idempotent methods that lost their server are tried again; others, where no server has seen them (gRFC A6).
_SERVICE_CONFIG: Final = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [
                    dict(zip(("service", "method"), path.removeprefix("/").split("/"), strict=True))
                    for path in sorted(IDEMPOTENT)
                ],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)


class _Choosing(grpc.aio.ServerInterceptor):
    """Has each call served by what `choose` makes of its handler."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler that serves a call; None where there is no such method."""
        handler = await continuation(handler_call_details)
        return None if handler is None else self._choose(handler_call_details.method, handler)


class Server:
    """See `interface.Server`."""

    def __init__(self, limits: Limits, choose: Choose | None, *, is_shown: bool) -> None:
        """Listen nowhere yet."""
        self._server = grpc.aio.server(
            interceptors=() if choose is None else (_Choosing(choose),),
            options=_server_options(limits, is_shown=is_shown),
            maximum_concurrent_rpcs=limits.max_calls,
        )

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """See `interface.Server`."""
        self._server.add_generic_rpc_handlers(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """See `interface.Server`."""
        self._server.add_registered_method_handlers(service_name, method_handlers)

    def bind(self, host: str, port: int, tls: ServerTls | None = None) -> int:
        """See `interface.Server`."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if tls is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, server_credentials(tls))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: it is in use, or none of this machine") from error

    async def start(self) -> None:
        """See `interface.Server`."""
        await self._server.start()

    async def stop(self, grace_s: float | None) -> None:
        """See `interface.Server`."""
        await self._server.stop(grace_s)

    def close(self) -> None:
        """Nothing to do: gRPC gives the address back with the server."""


def build_server(limits: Limits, choose: Choose | None = None, *, is_shown: bool = False) -> Server:
    """See `interface.Transport`."""
    return Server(limits, choose, is_shown=is_shown)


def open_channel(target: str, max_message_bytes: int, security: BackendSettings, *, is_plain: bool) -> Channel:
    """See `interface.Transport`."""
    credentials = None if is_plain else channel_credentials(target, security)
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", min(max_message_bytes, _MOST_MESSAGE_BYTES)),
        ("grpc.max_send_message_length", min(max_message_bytes, _MOST_MESSAGE_BYTES)),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # The default of 30 s lost calls in a rollout (24 of 2,492; with 500 ms none of 5,083).
        ("grpc.dns_min_time_between_resolutions_ms", 500),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.enable_channelz", 1),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if credentials is None:
        return cast("Channel", grpc.aio.insecure_channel(target, options=options))
    if security.server_name:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    return RenewingChannel(
        credentials.current, lambda current: grpc.aio.secure_channel(target, current, options=options)
    )


def add_channelz(server: AnyServer, shown: AnyServer) -> None:
    """See `interface.Transport`; gRPC knows all its servers and channels itself."""
    del shown
    channelz.add_channelz_servicer(server)


def _server_options(limits: Limits, *, is_shown: bool) -> list[tuple[str, int]]:
    options = [
        ("grpc.enable_channelz", int(is_shown)),
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        ("grpc.max_concurrent_streams", limits.max_streams),
        # Else a client's burst beyond the streams is reset instead of queued: of 1,000 calls at once 103 were lost
        # (bare grpc.aio echo, one channel); with this none of 10,000.
        ("grpc.http.overload_protection", 0),
        ("grpc.server_handshake_timeout_ms", int(limits.handshake_timeout_s * 1e3)),
        # Matches the clients' keepalive (client/orrery/inference/channel.py), or they would be sent away.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
    if limits.max_connection_age_s is not None:
        options += [
            ("grpc.max_connection_age_ms", int(limits.max_connection_age_s * 1e3)),
            ("grpc.max_connection_age_grace_ms", int(limits.max_connection_age_grace_s * 1e3)),
        ]
    return options
