# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens around every call: a request id, a log line, metrics, and the way from an error to a status."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import structlog
from google.rpc import code_pb2
from grpc_status import rpc_status

from gateway.serving import metrics
from gateway.serving.errors import status_of

REQUEST_ID_KEY = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Health probes and reflection come by the second and say nothing.
_QUIET = ("grpc.health.", "grpc.reflection.", "grpc.channelz.")

log = structlog.get_logger()

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server.

    A call keeps the id in its `x-request-id` metadata (at most 64 of A-Z a-z 0-9 . _ -) or is given one; the id is in
    every log line while the call is served, and goes back in the trailing metadata.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler that would serve this call."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or method.removeprefix("/").startswith(_QUIET):
            return handler
        wrap, serve = _WRAPPERS[handler.request_streaming, handler.response_streaming]
        inner = getattr(handler, serve)
        coders = (handler.request_deserializer, handler.response_serializer)
        make = getattr(grpc, f"{serve}_rpc_method_handler")
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(wrap(method, inner), *coders)
        return wrapped


def _unary(method: str, inner: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    async def serve(request: Any, context: Context) -> Any:
        async with _observed(method, context):
            return await inner(request, context)

    return serve


def _stream(
    method: str, inner: Callable[[Any, Context], AsyncIterator[Any]]
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
        async with _observed(method, context), contextlib.aclosing(inner(request, context)) as replies:  # type: ignore[type-var]  # every handler of ours is an async generator
            async for reply in replies:
                yield reply

    return serve


_WRAPPERS: dict[tuple[bool, bool], tuple[Callable[[str, Any], Any], str]] = {
    (False, False): (_unary, "unary_unary"),
    (False, True): (_stream, "unary_stream"),
    (True, False): (_unary, "stream_unary"),
    (True, True): (_stream, "stream_stream"),
}


def current_request_id() -> str:
    """The id of the call being served."""
    return str(structlog.contextvars.get_contextvars()["request_id"])


def _request_id_of(context: Context) -> str:
    """The id that the caller gave, if it is a sane one, else a new one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex


@contextlib.asynccontextmanager
async def _observed(method: str, context: Context) -> AsyncIterator[None]:
    """Serve one call: log and count it, and turn what it raises into a status."""
    service, _, name = method.removeprefix("/").rpartition("/")
    request_id = _request_id_of(context)
    context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
    metrics.STARTED.labels(service, name).inc()
    started = time.perf_counter()
    code = "OK"
    with structlog.contextvars.bound_contextvars(request_id=request_id), _in_flight(service, name):
        try:
            yield
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:  # the one place that answers for everything unforeseen
            status = status_of(error, request_id)
            code = code_pb2.Code.Name(status.code)
            if status.code == code_pb2.INTERNAL:
                log.exception("internal error", method=method)
            rich = rpc_status.to_status(status)
            await context.abort(rich.code, rich.details, (*rich.trailing_metadata, (REQUEST_ID_KEY, request_id)))
        finally:
            elapsed_s = time.perf_counter() - started
            metrics.SECONDS.labels(service, name).observe(elapsed_s)
            metrics.HANDLED.labels(service, name, code).inc()
            log.debug("call", method=method, code=code, elapsed_ms=round(elapsed_s * 1e3, 3))


@contextlib.contextmanager
def _in_flight(service: str, name: str) -> Any:
    with metrics.IN_FLIGHT.labels(service, name).track_inprogress():
        yield
