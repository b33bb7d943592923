# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens around every call: a request id, a log line, metrics, guards, and the way from an error to a status."""

from __future__ import annotations

import contextlib
import random
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_status import rpc_status

from gateway.serving import metrics
from gateway.serving.callers import CALLER, unguarded
from gateway.serving.context import REQUEST_ID_KEY, TRACEPARENT, Context
from gateway.serving.errors import FieldViolation, InvalidRequest, Overloaded, reason_in, status_of
from gateway.serving.guard import Guard
from gateway.serving.streams import Messages

__all__ = ["CallInterceptor", "Context", "Hooks", "Span", "current_request_id"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Health probes and reflection come by the second and say nothing.
_QUIET = ("grpc.health.", "grpc.reflection.", "grpc.channelz.")

log = structlog.get_logger()


# Makes of what a call came with what its handler takes, once the call is let in.
_Open: TypeAlias = Callable[[Any, Context], Awaitable[Any]]


class Span(Protocol):
    """A call in a trace."""

    traceparent: str

    def end(self, code: str, request_id: str) -> None:
        """Close it with the call's status."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What settings may add around calls; what is None costs nothing.

    Attributes:
        guard: lets calls in, or not.
        begin_span: of a method and the call's metadata.
        report: an internal error, its method and its request id.
        most_calls: under way at a time; calls beyond them are told when to come back.
    """

    guard: Guard | None = None
    most_calls: int | None = None
    begin_span: Callable[[str, Any], Span] | None = None
    report: Callable[[BaseException, str, str], None] | None = None


class CallInterceptor(grpc.aio.ServerInterceptor):
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
        self._room = _Room(self.hooks.most_calls)
        # By method: the handler that was wrapped, what it became, and what refuses in its place.
        self._wrapped: dict[str, tuple[object, grpc.RpcMethodHandler[Any, Any], grpc.RpcMethodHandler[Any, Any]]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler that would serve this call."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None:
            return None
        known = self._wrapped.get(method)
        if known is not None and known[0] is handler:
            return known[1] if self._room.is_free or known[1] is handler else known[2]
        guard = self.hooks.guard
        quiet = method.removeprefix("/").startswith(_QUIET)
        if quiet and not (guard and guard.stands_before(method)):
            self._wrapped[method] = (handler, handler, handler)
            return handler
        served = _Method(self.hooks, self._room, method)
        wrapped = self._wrap(served, handler)
        # Whatever the method's own kind: of a stream gRPC reads no message before it asks the handler.
        full: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(_refusing(served))
        self._wrapped[method] = (handler, wrapped, full)
        return wrapped

    def _wrap(self, served: _Method, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        wrap, serve = _WRAPPERS[handler.request_streaming, handler.response_streaming]
        make = getattr(grpc, f"{serve}_rpc_method_handler")
        open_call: _Open
        if handler.request_streaming:
            open_call, parse = served.open_stream, handler.request_deserializer
        else:
            open_call, parse = served.opener(handler.request_deserializer), None
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(
            wrap(served, getattr(handler, serve), open_call), parse, handler.response_serializer
        )
        return wrapped


class _Room:
    """Calls under way of a whole server, and how many may be."""

    __slots__ = ("_most", "_taken")

    def __init__(self, most: int | None) -> None:
        self._most = inf if most is None else most
        self._taken = 0

    @property
    def is_free(self) -> bool:
        """Whether there is room for one more."""
        return self._taken < self._most

    def take(self) -> bool:
        """Take the place of one call, if there is any."""
        if not self.is_free:
            return False
        self._taken += 1
        return True

    def free(self) -> None:
        """Give it back."""
        self._taken -= 1


class _Method:
    """A method being served: its metrics, ready to be counted in, and what stands around its calls."""

    def __init__(self, hooks: Hooks, room: _Room, method: str) -> None:
        self.hooks = hooks
        self.room = room
        self.name = method
        service, _, name = method.removeprefix("/").rpartition("/")
        self._labels = (service, name)
        self.started = metrics.STARTED.labels(service, name)
        self.in_flight = metrics.IN_FLIGHT.labels(service, name)
        self._ended: dict[str, tuple[Any, Any]] = {}

    def ended(self, code: str, elapsed_s: float) -> None:
        """Count a call that came to an end."""
        if code not in self._ended:
            labels = (*self._labels, code)
            self._ended[code] = (metrics.SECONDS.labels(*labels), metrics.HANDLED.labels(*labels))
        seconds, handled = self._ended[code]
        seconds.observe(elapsed_s)
        handled.inc()

    def refused(self, reason: str) -> None:
        """Count why a call was refused."""
        metrics.REFUSED.labels(*self._labels, reason).inc()

    async def _admit(self, context: Context, size_bytes: int) -> str:
        guard = self.hooks.guard
        # Settled here and not when it is needed: gRPC has no address of a call that has ended, and dies over it, while
        # tasks of the call may go on for a moment.
        caller = unguarded(context) if guard is None else await guard.admit(self.name, context, size_bytes)
        CALLER.set(caller)
        return caller

    def opener(self, parse: Callable[[bytes], Any] | None) -> _Open:
        """Lets a call in, then decodes its request (which is forwarded as bytes where there is no decoder)."""

        async def open_call(request: bytes, context: Context) -> Any:
            await self._admit(context, len(request))
            if parse is None:
                return request
            try:
                return parse(request)
            except DecodeError as error:
                raise InvalidRequest([FieldViolation("request", "not a message of this method")]) from error

        return open_call

    async def open_stream(self, requests: Any, context: Context) -> Any:
        """Lets a call in; where there are quotas, its messages are let in one by one."""
        caller = await self._admit(context, 0)
        guard = self.hooks.guard
        return requests if guard is None or not guard.paces else _paced(requests, guard, caller)


async def _paced(requests: AsyncIterator[Any], guard: Guard, caller: str) -> AsyncIterator[Any]:
    async for request in requests:
        await guard.pace(caller, len(request) if isinstance(request, bytes) else request.ByteSize())
        yield request


def _unary(
    served: _Method, inner: Callable[[Any, Context], Awaitable[Any]], open_call: _Open
) -> Callable[[Any, Context], Awaitable[Any]]:
    async def serve(request: Any, context: Context) -> Any:
        async with _Observed(served, context):
            return await inner(await open_call(request, context), context)

    return serve


def _stream(
    served: _Method,
    inner: Callable[[Any, Context], AsyncIterator[Any]],
    open_call: _Open,
    *,
    both_ways: bool = False,
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
        messages = Messages(request) if both_ways else None
        async with _Observed(served, context, messages):
            opened = await open_call(request if messages is None else messages, context)
            async with contextlib.aclosing(inner(opened, context)) as replies:  # type: ignore[type-var]  # every handler of ours is an async generator
                async for reply in replies:
                    yield reply

    return serve


def _refusing(served: _Method) -> Callable[[AsyncIterator[Any], Context], Awaitable[None]]:
    """What answers a method's calls while there is no room for them, at a fraction of what being served costs."""

    async def refuse(_requests: AsyncIterator[Any], context: Context) -> None:
        request_id = _request_id_of(context.invocation_metadata() or ())
        served.started.inc()
        metrics.OVERLOAD_REFUSED.inc()
        served.ended("RESOURCE_EXHAUSTED", 0.0)
        rich = rpc_status.to_status(status_of(_come_back_later(), request_id))
        await context.abort(rich.code, rich.details, (*rich.trailing_metadata, (REQUEST_ID_KEY, request_id)))

    return refuse


def _come_back_later() -> Overloaded:
    """Not everyone at the same time again."""
    return Overloaded(retry_after_s=round(random.uniform(0.5, 1.5), 2))  # noqa: S311  # nothing to guess


_WRAPPERS: dict[tuple[bool, bool], tuple[Callable[[_Method, Any, _Open], Any], str]] = {
    (False, False): (_unary, "unary_unary"),
    (False, True): (_stream, "unary_stream"),
    (True, False): (_unary, "stream_unary"),
    (True, True): (partial(_stream, both_ways=True), "stream_stream"),
}


def current_request_id() -> str:
    """The id of the call being served."""
    return str(structlog.contextvars.get_contextvars()["request_id"])


def _request_id_of(metadata: Any) -> str:
    """The id that the caller gave, if it is a sane one, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return secrets.token_hex(16)


class _Observed:
    """Serves one call: logs and counts it, and turns what it raises into a status.

    gRPC runs every call in a task of its own, so what is bound to the task's context needs no unbinding.
    """

    __slots__ = ("_context", "_has_room", "_messages", "_request_id", "_served", "_span", "_started_s")

    def __init__(self, served: _Method, context: Context, messages: Messages[Any] | None = None) -> None:
        self._served = served
        self._messages = messages
        self._context = context

    async def __aenter__(self) -> None:
        served = self._served
        metadata = self._context.invocation_metadata() or ()
        self._request_id = _request_id_of(metadata)
        self._context.set_trailing_metadata(((REQUEST_ID_KEY, self._request_id),))
        structlog.contextvars.bind_contextvars(request_id=self._request_id)
        begin_span = served.hooks.begin_span
        self._span = None if begin_span is None else begin_span(served.name, metadata)
        if self._span is not None:
            TRACEPARENT.set(self._span.traceparent)
        served.started.inc()
        served.in_flight.inc()
        self._started_s = time.perf_counter()
        self._has_room = served.room.take()
        if not self._has_room:
            # The last place went while the request was being read.
            metrics.OVERLOAD_REFUSED.inc()
            await self.__aexit__(Overloaded, _come_back_later(), None)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            # Else it was cancelled, or is a stream that was closed before its end.
            self._end("OK" if error is None else "CANCELLED")
            return
        status = status_of(error, self._request_id)
        self._served.refused(reason_in(status))
        if status.code == code_pb2.INTERNAL:
            log.error("internal error", method=self._served.name, exc_info=error)
            if self._served.hooks.report is not None:
                self._served.hooks.report(error, self._served.name, self._request_id)
        rich = rpc_status.to_status(status)
        trailing = (*rich.trailing_metadata, (REQUEST_ID_KEY, self._request_id))
        try:
            if self._messages is not None:
                await self._messages.drain()
            await self._context.abort(rich.code, rich.details, trailing)
        finally:
            self._end(code_pb2.Code.Name(status.code))

    def _end(self, code: str) -> None:
        served = self._served
        elapsed_s = time.perf_counter() - self._started_s
        if self._has_room:
            served.room.free()
        served.in_flight.dec()
        served.ended(code, elapsed_s)
        if self._span is not None:
            self._span.end(code, self._request_id)
        log.debug("call", method=served.name, code=code, elapsed_ms=round(elapsed_s * 1e3, 3))
