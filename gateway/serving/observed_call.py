# SPDX-License-Identifier: GPL-3.0-or-later
"""A call being served: its request id, its log line, its metrics, and the way from an error to a status."""

from __future__ import annotations

import random
import re
import time
from types import TracebackType
from typing import Any

import structlog
from google.rpc import code_pb2
from grpc_status import rpc_status

from gateway.serving import metrics
from gateway.serving.callers import sharer_of
from gateway.serving.context import REQUEST_ID, REQUEST_ID_KEY, TRACEPARENT, Context
from gateway.serving.errors import Overloaded, reason_in, status_of
from gateway.serving.places import Place
from gateway.serving.served_method import Method
from gateway.serving.streams import Messages

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger()


class Observed:
    """Serves one call: logs and counts it, and turns what it raises into a status.

    gRPC runs every call in a task of its own, so what is bound to the task's context needs no unbinding.

    Attributes:
        place: of the call among those under way.
    """

    __slots__ = ("_context", "_messages", "_request_id", "_served", "_span", "_started_s", "place")

    def __init__(self, served: Method, context: Context, messages: Messages[Any] | None = None) -> None:
        self._served = served
        self._messages = messages
        self._context = context
        self.place = Place(served.places, sharer_of(context))

    async def __aenter__(self) -> Place:
        served = self._served
        metadata = self._context.invocation_metadata() or ()
        self._request_id = request_id_of(metadata)
        self._context.set_trailing_metadata(((REQUEST_ID_KEY, self._request_id),))
        REQUEST_ID.set(self._request_id)
        begin_span = served.hooks.begin_span
        self._span = None if begin_span is None else begin_span(served.name, metadata)
        if self._span is not None:
            TRACEPARENT.set(self._span.traceparent)
        served.started.inc()
        served.in_flight.inc()
        self._started_s = time.perf_counter()
        if not self.place.is_held:
            # The last place went while the request was being read.
            metrics.OVERLOAD_REFUSED.inc()
            await self.__aexit__(Overloaded, come_back_later(), None)
        return self.place

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
        self.place.close()
        served.in_flight.dec()
        served.ended(code, elapsed_s)
        if self._span is not None:
            self._span.end(code, self._request_id)
        log.debug("call", method=served.name, code=code, elapsed_ms=round(elapsed_s * 1e3, 3))


def request_id_of(metadata: Any) -> str:
    """The id that the caller gave, if it is a sane one, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return f"{random.getrandbits(128):032x}"  # to tell calls apart, nothing to guess


def come_back_later() -> Overloaded:
    """Not everyone at the same time again."""
    return Overloaded(retry_after_s=round(random.uniform(0.5, 1.5), 2))  # noqa: S311  # nothing to guess
