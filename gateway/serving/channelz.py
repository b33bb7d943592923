# SPDX-License-Identifier: GPL-3.0-or-later
"""channelz (gRFC A14): gRPC's own channels and servers, and beside them those of ours that gRPC does not know."""

import ipaddress
from collections.abc import Callable, Iterable

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc

from gateway.grpc_h2 import Channel, Server
from gateway.grpc_h2.client.channel import CHANNELS
from gateway.grpc_h2.link import Link
from gateway.grpc_h2.tally import Tally
from gateway.serving.context import Context

# Beyond whatever gRPC numbers.
_FIRST_ID = 1 << 48
_STATE = channelz_pb2.ChannelConnectivityState
_MOST_SHOWN = 100


class Channelz(channelz.aio.ChannelzServicer):  # type: ignore[misc]  # untyped
    """What gRPC says of itself, one server more, and the channels of this process."""

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
        refs = [ref for ref in _refs(self._server.connections) if ref.socket_id >= request.start_socket_id]
        most = request.max_results or len(refs)
        return channelz_pb2.GetServerSocketsResponse(socket_ref=refs[:most], end=len(refs) <= most)

    async def GetTopChannels(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetTopChannelsRequest, context: Context
    ) -> channelz_pb2.GetTopChannelsResponse:
        """All channels: gRPC's, and when there are no more of them, ours."""
        reply: channelz_pb2.GetTopChannelsResponse = await channelz.aio.ChannelzServicer.GetTopChannels(
            request, context
        )
        if reply.end:
            most = max(0, (request.max_results or _MOST_SHOWN) - len(reply.channel))
            ours = [
                channel
                for channel in sorted(CHANNELS, key=lambda channel: channel.number)
                if _FIRST_ID + channel.number >= request.start_channel_id
            ]
            reply.channel.extend(map(_channel, ours[:most]))
            reply.end = len(ours) <= most
        return reply

    async def GetChannel(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetChannelRequest, context: Context
    ) -> channelz_pb2.GetChannelResponse:
        """One channel."""
        for channel in CHANNELS:
            if _FIRST_ID + channel.number == request.channel_id:
                return channelz_pb2.GetChannelResponse(channel=_channel(channel))
        return await channelz.aio.ChannelzServicer.GetChannel(request, context)

    async def GetSocket(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetSocketRequest, context: Context
    ) -> channelz_pb2.GetSocketResponse:
        """One connection."""
        if request.socket_id < _FIRST_ID:
            return await channelz.aio.ChannelzServicer.GetSocket(request, context)
        links = (*self._server.connections, *(link for channel in CHANNELS for link in channel.connections))
        for link in links:
            if _FIRST_ID + link.number == request.socket_id:
                return channelz_pb2.GetSocketResponse(socket=_socket(link))
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such socket")
        raise AssertionError

    def _said(self) -> channelz_pb2.Server:
        data = channelz_pb2.ServerData(**_counts(self._server.tally))
        return channelz_pb2.Server(ref=channelz_pb2.ServerRef(server_id=_FIRST_ID, name="pod"), data=data)


def add_channelz(server: Server) -> Callable[[grpc.aio.Server], None]:
    """Adds channelz, with this server in it, to another one."""
    return lambda admin: channelz_pb2_grpc.add_ChannelzServicer_to_server(Channelz(server), admin)


def _channel(channel: Channel) -> channelz_pb2.Channel:
    state = _STATE.READY if channel.is_connected else _STATE.CONNECTING if channel.is_used else _STATE.IDLE
    data = channelz_pb2.ChannelData(
        state=channelz_pb2.ChannelConnectivityState(state=state), target=channel.target, **_counts(channel.tally)
    )
    ref = channelz_pb2.ChannelRef(channel_id=_FIRST_ID + channel.number, name=channel.target)
    return channelz_pb2.Channel(ref=ref, data=data, socket_ref=_refs(channel.connections))


def _counts(tally: Tally) -> dict[str, int | Timestamp]:
    said: dict[str, int | Timestamp] = {
        "calls_started": tally.started,
        "calls_succeeded": tally.succeeded,
        "calls_failed": tally.failed,
    }
    if tally.last_started_s:
        said["last_call_started_timestamp"] = Timestamp(seconds=int(tally.last_started_s))
    return said


def _refs(links: Iterable[Link]) -> list[channelz_pb2.SocketRef]:
    return [
        channelz_pb2.SocketRef(socket_id=_FIRST_ID + link.number, name=link.peer)
        for link in sorted(links, key=lambda link: link.number)
    ]


def _socket(link: Link) -> channelz_pb2.Socket:
    said = channelz_pb2.Socket(
        ref=channelz_pb2.SocketRef(socket_id=_FIRST_ID + link.number, name=link.peer),
        data=channelz_pb2.SocketData(
            streams_started=link.tally.started,
            streams_succeeded=link.tally.succeeded,
            streams_failed=link.tally.failed,
        ),
        remote_name=link.peer,
    )
    host, _, port = link.peer.partition(":")[2].rpartition(":")
    if host:
        packed = ipaddress.ip_address(host.strip("[]")).packed
        said.remote.tcpip_address.ip_address, said.remote.tcpip_address.port = packed, int(port)
    return said
