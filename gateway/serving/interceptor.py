# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens around every call: a request id, a log line, metrics, guards, and the way from an error to a status."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from grpc_status import rpc_status

from gateway.serving import metrics
from gateway.serving.context import REQUEST_ID_KEY, Context
from gateway.serving.errors import status_of
from gateway.serving.observed_call import Observed, come_back_later, request_id_of
from gateway.serving.served_method import Hooks, Method, Open, Room
from gateway.serving.streams import Messages

# Health probes and reflection come by the second and say nothing.
_QUIET = ("grpc.health.", "grpc.reflection.", "grpc.channelz.")


class CallInterceptor:
    """Wraps every handler of a server.

    A call keeps the id in its `x-request-id` metadata (at most 64 of A-Z a-z 0-9 . _ -) or is given one; the id is in
    every log line while the call is served, and goes back in the trailing metadata. A request is decoded after the
    guard has let the call in.
    """

    def __init__(self, hooks: Hooks | None = None) -> None:
        """Begin with no method wrapped.

        Args:
            hooks: what stands before and beside every call.
        """
        self.hooks = hooks or Hooks()
        self._room = Room(self.hooks.most_calls)
        # By method: the handler that was wrapped, what it became, and what refuses in its place.
        self._wrapped: dict[str, tuple[object, grpc.RpcMethodHandler[Any, Any], grpc.RpcMethodHandler[Any, Any]]] = {}

    def choose(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        """What serves this call in a handler's place."""
        known = self._wrapped.get(method)
        if known is not None and known[0] is handler:
            return known[1] if self._room.is_free or known[1] is handler else known[2]
        guard = self.hooks.guard
        quiet = method.removeprefix("/").startswith(_QUIET)
        if quiet and not (guard and guard.stands_before(method)):
            self._wrapped[method] = (handler, handler, handler)
            return handler
        served = Method(self.hooks, self._room, method)
        wrapped = self._wrap(served, handler)
        # Whatever the method's own kind: of a stream gRPC reads no message before it asks the handler.
        full: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(_refusing(served))
        self._wrapped[method] = (handler, wrapped, full)
        return wrapped

    def _wrap(self, served: Method, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        wrap, serve = _WRAPPERS[handler.request_streaming, handler.response_streaming]
        make = getattr(grpc, f"{serve}_rpc_method_handler")
        open_call: Open
        if handler.request_streaming:
            open_call, parse = served.open_stream, handler.request_deserializer
        else:
            open_call, parse = served.opener(handler.request_deserializer), None
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(
            wrap(served, getattr(handler, serve), open_call), parse, handler.response_serializer
        )
        return wrapped


def _unary(
    served: Method, inner: Callable[[Any, Context], Awaitable[Any]], open_call: Open
) -> Callable[[Any, Context], Awaitable[Any]]:
    async def serve(request: Any, context: Context) -> Any:
        async with Observed(served, context):
            return await inner(await open_call(request, context), context)

    return serve


def _stream(
    served: Method,
    inner: Callable[[Any, Context], AsyncIterator[Any]],
    open_call: Open,
    *,
    both_ways: bool = False,
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
        messages = Messages(request) if both_ways else None
        async with Observed(served, context, messages):
            opened = await open_call(request if messages is None else messages, context)
            async with contextlib.aclosing(inner(opened, context)) as replies:  # type: ignore[type-var]  # every handler of ours is an async generator
                async for reply in replies:
                    yield reply

    return serve


def _refusing(served: Method) -> Callable[[AsyncIterator[Any], Context], Awaitable[None]]:
    """What answers a method's calls while there is no room for them, at a fraction of what being served costs."""

    async def refuse(_requests: AsyncIterator[Any], context: Context) -> None:
        request_id = request_id_of(context.invocation_metadata() or ())
        served.started.inc()
        metrics.OVERLOAD_REFUSED.inc()
        served.ended("RESOURCE_EXHAUSTED", 0.0)
        rich = rpc_status.to_status(status_of(come_back_later(), request_id))
        await context.abort(rich.code, rich.details, (*rich.trailing_metadata, (REQUEST_ID_KEY, request_id)))

    return refuse


_WRAPPERS: dict[tuple[bool, bool], tuple[Callable[[Method, Any, Open], Any], str]] = {
    (False, False): (_unary, "unary_unary"),
    (False, True): (_stream, "unary_stream"),
    (True, False): (_unary, "stream_unary"),
    (True, True): (partial(_stream, both_ways=True), "stream_stream"),
}
