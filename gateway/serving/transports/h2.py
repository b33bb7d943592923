# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport `grpc_h2`: servers and channels in the event loop's own thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from grpc_channelz.v1 import channelz_pb2_grpc

from gateway import grpc_h2
from gateway.grpc_h2.client.target import parse_target
from gateway.serving.idempotent import IDEMPOTENT
from gateway.serving.settings import BackendSettings
from gateway.serving.tls import ServerTls, client_tls
from gateway.serving.transports.h2_channelz import Channelz
from gateway.serving.transports.interface import Choose, Limits

if TYPE_CHECKING:
    from gateway.serving.transports.interface import Server as AnyServer


class Server(grpc_h2.Server):
    """A server of `grpc_h2` that takes its certificates from files."""

    def bind(self, host: str, port: int, tls: ServerTls | None = None) -> int:  # type: ignore[override]  # files, not contexts
        """See `interface.Server`."""
        return super().bind(host, port, None if tls is None else tls.contexts())


def build_server(limits: Limits, choose: Choose | None = None, *, is_shown: bool = False) -> Server:
    """See `interface.Transport`."""
    del is_shown
    hook = {} if choose is None else {"choose": choose}
    return Server(
        **hook,
        max_message_bytes=limits.max_message_bytes,
        max_streams=limits.max_streams,
        max_calls=limits.max_calls,
        handshake_timeout_s=limits.handshake_timeout_s,
        max_connection_age_s=limits.max_connection_age_s,
        max_connection_age_grace_s=limits.max_connection_age_grace_s,
    )


def open_channel(target: str, max_message_bytes: int, security: BackendSettings, *, is_plain: bool) -> grpc_h2.Channel:
    """See `interface.Transport`."""
    parse_target(target)
    return grpc_h2.Channel(
        target,
        max_message_bytes=max_message_bytes,
        tls=None if is_plain else client_tls(target, security),
        server_name=security.server_name or None,
        idempotent=IDEMPOTENT,
    )


def add_channelz(server: AnyServer, shown: AnyServer) -> None:
    """See `interface.Transport`."""
    channelz_pb2_grpc.add_ChannelzServicer_to_server(Channelz(cast("Server", shown)), server)
