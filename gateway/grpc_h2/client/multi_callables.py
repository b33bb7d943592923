# SPDX-License-Identifier: GPL-3.0-or-later
"""The four kinds of calls, and what begins them: with the names and signatures of grpc.aio's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc

from gateway.grpc_h2.client.call import Call
from gateway.grpc_h2.client.method import Method, Options
from gateway.grpc_h2.client.replies import OneReply, ReplyStream
from gateway.grpc_h2.client.requests import Requests, RequestStream
from gateway.grpc_h2.metadata import MetadataLike

if TYPE_CHECKING:
    from gateway.grpc_h2.client.channel import Channel


class UnaryUnaryCall(OneReply):
    """One request, one reply."""

    __slots__ = ()

    def __init__(self, channel: Channel, method: Method, options: Options, request: Any) -> None:
        """Send the request now, if there is a connection."""
        super().__init__(channel, method, options)
        self._send_only(request)

    async def wait_for_connection(self) -> None:
        """Wait for the end, as grpc.aio does.

        Raises:
            grpc.aio.AioRpcError: it is none of a call that went well.
        """
        self._raise_for_status(await self._ended())


class UnaryStreamCall(ReplyStream):
    """One request, a stream of replies."""

    __slots__ = ()

    def __init__(self, channel: Channel, method: Method, options: Options, request: Any) -> None:
        """Send the request now, if there is a connection."""
        super().__init__(channel, method, options)
        self._send_only(request)


class StreamUnaryCall(RequestStream, OneReply):
    """A stream of requests, one reply."""

    __slots__ = ()

    def __init__(self, channel: Channel, method: Method, options: Options, requests: Requests | None) -> None:
        """Begin now, if there is a connection."""
        super().__init__(channel, method, options)
        self._begin_requests(requests)


class StreamStreamCall(RequestStream, ReplyStream):
    """A stream of requests, a stream of replies."""

    __slots__ = ()

    def __init__(self, channel: Channel, method: Method, options: Options, requests: Requests | None) -> None:
        """Begin now, if there is a connection."""
        super().__init__(channel, method, options)
        self._begin_requests(requests)


OneRequestCall = TypeVar("OneRequestCall", UnaryUnaryCall, UnaryStreamCall)
RequestStreamCall = TypeVar("RequestStreamCall", StreamUnaryCall, StreamStreamCall)


class _MultiCallable:
    def __init__(self, channel: Channel, method: Method) -> None:
        self._channel = channel
        self._method = method

    def _options(
        self,
        timeout: float | None,
        metadata: MetadataLike | None,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> Options:
        if credentials is not None:
            raise grpc.aio.UsageError("call credentials are not supported: send a token as metadata")
        self._channel.require_open()
        return Options(timeout, metadata, wait_for_ready, compression)


class _OfOneRequest(_MultiCallable, Generic[OneRequestCall]):
    _kind: type[OneRequestCall]

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: MetadataLike | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> OneRequestCall:
        """Begin a call; see grpc.aio's class of this name. `timeout` is in seconds."""
        options = self._options(timeout, metadata, credentials, wait_for_ready, compression)
        return self._kind(self._channel, self._method, options, request)


class _OfRequestStream(_MultiCallable, Generic[RequestStreamCall]):
    _kind: type[RequestStreamCall]

    def __call__(
        self,
        request_iterator: Requests | None = None,
        timeout: float | None = None,
        metadata: MetadataLike | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> RequestStreamCall:
        """Begin a call; see grpc.aio's class of this name. `timeout` is in seconds."""
        options = self._options(timeout, metadata, credentials, wait_for_ready, compression)
        return self._kind(self._channel, self._method, options, request_iterator)


class UnaryUnaryMultiCallable(_OfOneRequest[UnaryUnaryCall]):
    """Makes calls of a method: one request, one reply."""

    _kind = UnaryUnaryCall


class UnaryStreamMultiCallable(_OfOneRequest[UnaryStreamCall]):
    """Makes calls of a method: one request, a stream of replies."""

    _kind = UnaryStreamCall


class StreamUnaryMultiCallable(_OfRequestStream[StreamUnaryCall]):
    """Makes calls of a method: a stream of requests, one reply."""

    _kind = StreamUnaryCall


class StreamStreamMultiCallable(_OfRequestStream[StreamStreamCall]):
    """Makes calls of a method: a stream of requests, a stream of replies."""

    _kind = StreamStreamCall


# For `isinstance` with grpc.aio's abstract classes.
grpc.aio.Call.register(Call)
grpc.aio.UnaryUnaryCall.register(UnaryUnaryCall)
grpc.aio.UnaryStreamCall.register(UnaryStreamCall)
grpc.aio.StreamUnaryCall.register(StreamUnaryCall)
grpc.aio.StreamStreamCall.register(StreamStreamCall)
grpc.aio.UnaryUnaryMultiCallable.register(UnaryUnaryMultiCallable)
grpc.aio.UnaryStreamMultiCallable.register(UnaryStreamMultiCallable)
grpc.aio.StreamUnaryMultiCallable.register(StreamUnaryMultiCallable)
grpc.aio.StreamStreamMultiCallable.register(StreamStreamMultiCallable)
