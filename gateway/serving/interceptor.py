# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens around every call: a request id, a log line, metrics, guards, and the way from an error to a status."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc_status import rpc_status

from gateway.serving import metrics
from gateway.serving.callers import sharer_of
from gateway.serving.context import REQUEST_ID_KEY, Context
from gateway.serving.errors import status_of
from gateway.serving.observed_call import Observed, come_back_later, request_id_of
from gateway.serving.places import Place, Places
from gateway.serving.served_method import Hooks, Method, Open
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
        self._places = Places(self.hooks.most_calls)
        # By method: the original handler, the wrapped one, and the one that serves while no place is free.
        self._wrapped: dict[str, tuple[object, grpc.RpcMethodHandler[Any, Any], grpc.RpcMethodHandler[Any, Any]]] = {}

    def choose(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        """What serves this call in a handler's place."""
        known = self._wrapped.get(method)
        if known is not None and known[0] is handler:
            return known[1] if self._places.is_free or known[1] is handler else known[2]
        guard = self.hooks.guard
        quiet = method.removeprefix("/").startswith(_QUIET)
        if quiet and not (guard and guard.stands_before(method)):
            self._wrapped[method] = (handler, handler, handler)
            return handler
        served = Method(self.hooks, self._places, method)
        wrapped = self._wrap(served, handler)
        # Whatever the method's own kind: of a stream gRPC reads no message before it asks the handler.
        full: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            _refusing(served, wrapped), wrapped.request_deserializer, wrapped.response_serializer
        )
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
    served: Method, inner: Callable[[Any, Context], AsyncIterator[Any]], open_call: Open
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
        async with Observed(served, context) as place:
            opened = await open_call(request, context)
            async with contextlib.aclosing(inner(opened, context)) as replies:  # type: ignore[type-var]  # every handler of ours is an async generator
                async for reply in replies:
                    # As long as the caller does not read.
                    place.leave()
                    yield reply
                    await place.again()

    return serve


def _both_ways(
    served: Method, inner: Callable[[Any, Context], AsyncIterator[Any]], open_call: Open
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
        messages = _Counted(request)
        async with Observed(served, context, messages) as messages.place:
            opened = await open_call(messages, context)
            async with contextlib.aclosing(inner(opened, context)) as replies:  # type: ignore[type-var]  # every handler of ours is an async generator
                async for reply in replies:
                    messages.unanswered -= 1
                    messages.place.leave()
                    yield reply
                    if messages.unanswered > 0:
                        await messages.place.again()

    return serve


class _Counted(Messages[Any]):
    """The messages of a stream whose place is given back while none of them is unanswered.

    Attributes:
        place: of the call, once it is let in.
        unanswered: messages without a reply.
    """

    def __init__(self, source: AsyncIterator[Any]) -> None:
        super().__init__(source)
        self.place: Place | None = None
        self.unanswered = 0

    async def __anext__(self) -> Any:
        if self.place is not None and self.unanswered <= 0:
            self.place.leave()
        message = await super().__anext__()
        self.unanswered += 1
        if self.place is not None:
            await self.place.again()
        return message


def _refusing(
    served: Method, wrapped: grpc.RpcMethodHandler[Any, Any]
) -> Callable[[AsyncIterator[Any], Context], AsyncIterator[Any]]:
    """Serves a method while no place is free; whoever has its share is refused, at a fraction of a call's cost."""
    serve: Callable[[Any, Context], Any] = getattr(
        wrapped, _WRAPPERS[wrapped.request_streaming, wrapped.response_streaming][1]
    )

    async def refuse(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        if not served.places.admits(sharer_of(context)):
            request_id = request_id_of(context.invocation_metadata() or ())
            served.started.inc()
            metrics.OVERLOAD_REFUSED.inc()
            served.ended("RESOURCE_EXHAUSTED", 0.0)
            rich = rpc_status.to_status(status_of(come_back_later(), request_id))
            await context.abort(rich.code, rich.details, (*rich.trailing_metadata, (REQUEST_ID_KEY, request_id)))
        answered = serve(requests if wrapped.request_streaming else await anext(requests), context)
        if wrapped.response_streaming:
            async for reply in answered:
                yield reply
        else:
            yield await answered

    return refuse


_WRAPPERS: dict[tuple[bool, bool], tuple[Callable[[Method, Any, Open], Any], str]] = {
    (False, False): (_unary, "unary_unary"),
    (False, True): (_stream, "unary_stream"),
    (True, False): (_unary, "stream_unary"),
    (True, True): (_both_ways, "stream_stream"),
}
