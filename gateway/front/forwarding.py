# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that pods answer: the front hands the bytes over, both ways, and reads none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from gateway.serving.channels import onward, refusal_of
from gateway.serving.context import Context
from gateway.serving.streams import undisturbed
from gateway.serving.transports.interface import Channel

_Unary = Callable[[bytes, Context], Awaitable[bytes]]
_Stream = Callable[[bytes, Context], AsyncIterator[bytes]]
_BothWays = Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]


def forwarding_handler(
    service: ServiceDescriptor, channel: Channel, *, backend: str, cap_s: float, stream_cap_s: float
) -> grpc.GenericRpcHandler:
    """A handler for every method of a service, which asks the pod behind a channel.

    Args:
        service: its methods are unary, or stream replies, or stream both ways.
        channel: to the pod, which implements the same service.
        backend: the pod's name in errors.
        cap_s: the longest a call may take.
        stream_cap_s: the longest a stream both ways may take.
    """
    handlers = {method.name: _handler(method, channel, backend, cap_s, stream_cap_s) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(
    method: MethodDescriptor, channel: Channel, backend: str, cap_s: float, stream_cap_s: float
) -> grpc.RpcMethodHandler[bytes, bytes]:
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_forward_both_ways(path, channel, backend, stream_cap_s))
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_forward_stream(path, channel, backend, cap_s))
    return grpc.unary_unary_rpc_method_handler(_forward_unary(path, channel, backend, cap_s))


def _forward_unary(path: str, channel: Channel, backend: str, cap_s: float) -> _Unary:
    ask = channel.unary_unary(path)

    async def forward(request: bytes, context: Context) -> bytes:
        try:
            reply: bytes = await ask(request, **onward(context, cap_s=cap_s))
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error, backend) from error
        return reply

    return forward


def _forward_stream(path: str, channel: Channel, backend: str, cap_s: float) -> _Stream:
    ask = channel.unary_stream(path)

    async def forward(request: bytes, context: Context) -> AsyncIterator[bytes]:
        async for reply in _replies(ask(request, **onward(context, cap_s=cap_s)), backend):
            yield reply

    return forward


def _forward_both_ways(path: str, channel: Channel, backend: str, cap_s: float) -> _BothWays:
    ask = channel.stream_stream(path)

    async def forward(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        # gRPC takes the next message when the pod's window has room for it: the pod's pace is the caller's.
        async for reply in _replies(ask(undisturbed(requests), **onward(context, cap_s=cap_s)), backend):
            yield reply

    return forward


async def _replies(call: Any, backend: str) -> AsyncIterator[bytes]:
    try:
        async for reply in call:
            yield reply
    except grpc.aio.AioRpcError as error:
        raise refusal_of(error, backend) from error
    finally:
        # Whatever ended this call, the pod need not go on.
        call.cancel()
