# SPDX-License-Identifier: GPL-3.0-or-later
"""channelz (gRFC A14): gRPC's own channels and servers, and beside them the server of ours that gRPC does not know."""

import ipaddress
from collections.abc import Callable

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc

from gateway.serving.context import Context
from gateway.serving.http2 import Server
from gateway.serving.http2.server.connection import Connection

# Beyond whatever gRPC numbers.
_FIRST_ID = 1 << 48


class Channelz(channelz.aio.ChannelzServicer):  # type: ignore[misc]  # untyped
    """What gRPC says of itself, and one server more."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def GetServers(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetServersRequest, context: Context
    ) -> channelz_pb2.GetServersResponse:
        """All servers."""
        reply: channelz_pb2.GetServersResponse = await channelz.aio.ChannelzServicer.GetServers(request, context)
        reply.server.append(self._said())
        return reply

    async def GetServer(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetServerRequest, context: Context
    ) -> channelz_pb2.GetServerResponse:
        """One server."""
        if request.server_id == _FIRST_ID:
            return channelz_pb2.GetServerResponse(server=self._said())
        return await channelz.aio.ChannelzServicer.GetServer(request, context)

    async def GetServerSockets(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetServerSocketsRequest, context: Context
    ) -> channelz_pb2.GetServerSocketsResponse:
        """The connections of a server."""
        if request.server_id != _FIRST_ID:
            return await channelz.aio.ChannelzServicer.GetServerSockets(request, context)
        refs = [
            channelz_pb2.SocketRef(socket_id=_FIRST_ID + connection.number, name=connection.peer)
            for connection in sorted(self._server.connections, key=lambda connection: connection.number)
            if _FIRST_ID + connection.number >= request.start_socket_id
        ]
        most = request.max_results or len(refs)
        return channelz_pb2.GetServerSocketsResponse(socket_ref=refs[:most], end=len(refs) <= most)

    async def GetSocket(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetSocketRequest, context: Context
    ) -> channelz_pb2.GetSocketResponse:
        """One connection."""
        if request.socket_id < _FIRST_ID:
            return await channelz.aio.ChannelzServicer.GetSocket(request, context)
        for connection in self._server.connections:
            if _FIRST_ID + connection.number == request.socket_id:
                return channelz_pb2.GetSocketResponse(socket=_socket(connection))
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such socket")
        raise AssertionError

    def _said(self) -> channelz_pb2.Server:
        tally = self._server.tally
        data = channelz_pb2.ServerData(
            calls_started=tally.started, calls_succeeded=tally.succeeded, calls_failed=tally.failed
        )
        if tally.last_started_s:
            data.last_call_started_timestamp.CopyFrom(Timestamp(seconds=int(tally.last_started_s)))
        return channelz_pb2.Server(ref=channelz_pb2.ServerRef(server_id=_FIRST_ID, name="pod"), data=data)


def add_channelz(server: Server) -> Callable[[grpc.aio.Server], None]:
    """Adds channelz, with this server in it, to another one."""
    return lambda admin: channelz_pb2_grpc.add_ChannelzServicer_to_server(Channelz(server), admin)


def _socket(connection: Connection) -> channelz_pb2.Socket:
    tally = connection.tally
    said = channelz_pb2.Socket(
        ref=channelz_pb2.SocketRef(socket_id=_FIRST_ID + connection.number, name=connection.peer),
        data=channelz_pb2.SocketData(
            streams_started=tally.started, streams_succeeded=tally.succeeded, streams_failed=tally.failed
        ),
        remote_name=connection.peer,
    )
    host, _, port = connection.peer.partition(":")[2].rpartition(":")
    if host:
        packed = ipaddress.ip_address(host.strip("[]")).packed
        said.remote.tcpip_address.ip_address, said.remote.tcpip_address.port = packed, int(port)
    return said
