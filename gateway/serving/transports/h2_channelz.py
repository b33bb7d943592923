# SPDX-License-Identifier: GPL-3.0-or-later
"""channelz (gRFC A14) of the transport `grpc_h2`: one server, and all channels of this process."""

import ipaddress
from collections.abc import Iterable

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from gateway.grpc_h2 import Channel, Server
from gateway.grpc_h2.client.channel import CHANNELS
from gateway.grpc_h2.link import Link
from gateway.grpc_h2.tally import Tally
from gateway.serving.context import Context

_STATE = channelz_pb2.ChannelConnectivityState
_MOST_SHOWN = 100
_SERVER_ID = 1


class Channelz(channelz_pb2_grpc.ChannelzServicer):  # type: ignore[misc]  # untyped
    """What a pod's server and the channels of its process are doing."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def GetServers(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetServersRequest, context: Context
    ) -> channelz_pb2.GetServersResponse:
        """The pod's server."""
        del context
        shown = [self._shown()] if request.start_server_id <= _SERVER_ID else []
        return channelz_pb2.GetServersResponse(server=shown, end=True)

    async def GetServer(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetServerRequest, context: Context
    ) -> channelz_pb2.GetServerResponse:
        """One server."""
        await _require(request.server_id == _SERVER_ID, "server", context)
        return channelz_pb2.GetServerResponse(server=self._shown())

    async def GetServerSockets(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetServerSocketsRequest, context: Context
    ) -> channelz_pb2.GetServerSocketsResponse:
        """The connections of a server."""
        await _require(request.server_id == _SERVER_ID, "server", context)
        refs = [ref for ref in _refs(self._server.connections) if ref.socket_id >= request.start_socket_id]
        most = request.max_results or _MOST_SHOWN
        return channelz_pb2.GetServerSocketsResponse(socket_ref=refs[:most], end=len(refs) <= most)

    async def GetTopChannels(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetTopChannelsRequest, context: Context
    ) -> channelz_pb2.GetTopChannelsResponse:
        """All channels of the process."""
        del context
        channels = [
            channel
            for channel in sorted(CHANNELS, key=lambda channel: channel.number)
            if channel.number >= request.start_channel_id
        ]
        most = request.max_results or _MOST_SHOWN
        return channelz_pb2.GetTopChannelsResponse(channel=map(_channel, channels[:most]), end=len(channels) <= most)

    async def GetChannel(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetChannelRequest, context: Context
    ) -> channelz_pb2.GetChannelResponse:
        """One channel."""
        found = [channel for channel in CHANNELS if channel.number == request.channel_id]
        await _require(bool(found), "channel", context)
        return channelz_pb2.GetChannelResponse(channel=_channel(found[0]))

    async def GetSubchannel(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetSubchannelRequest, context: Context
    ) -> channelz_pb2.GetSubchannelResponse:
        """None: a channel's connections are shown as its sockets."""
        del request
        await _require(False, "subchannel", context)
        raise AssertionError

    async def GetSocket(  # noqa: N802  # the protocol's name
        self, request: channelz_pb2.GetSocketRequest, context: Context
    ) -> channelz_pb2.GetSocketResponse:
        """One connection."""
        links = (*self._server.connections, *(link for channel in CHANNELS for link in channel.connections))
        found = [link for link in links if link.number == request.socket_id]
        await _require(bool(found), "socket", context)
        return channelz_pb2.GetSocketResponse(socket=_socket(found[0]))

    def _shown(self) -> channelz_pb2.Server:
        data = channelz_pb2.ServerData(**_counts(self._server.tally))
        return channelz_pb2.Server(ref=channelz_pb2.ServerRef(server_id=_SERVER_ID, name="pod"), data=data)


async def _require(is_there: bool, kind: str, context: Context) -> None:
    if not is_there:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no such {kind}")


def _channel(channel: Channel) -> channelz_pb2.Channel:
    state = _STATE.READY if channel.is_connected else _STATE.CONNECTING if channel.is_used else _STATE.IDLE
    data = channelz_pb2.ChannelData(
        state=channelz_pb2.ChannelConnectivityState(state=state), target=channel.target, **_counts(channel.tally)
    )
    ref = channelz_pb2.ChannelRef(channel_id=channel.number, name=channel.target)
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
        channelz_pb2.SocketRef(socket_id=link.number, name=link.peer)
        for link in sorted(links, key=lambda link: link.number)
    ]


def _socket(link: Link) -> channelz_pb2.Socket:
    said = channelz_pb2.Socket(
        ref=channelz_pb2.SocketRef(socket_id=link.number, name=link.peer),
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
