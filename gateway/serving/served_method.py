# SPDX-License-Identifier: GPL-3.0-or-later
"""A method being served: what settings put around its calls, its metrics, its guard, and the pod's places."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from google.protobuf.message import DecodeError

from gateway.serving import metrics
from gateway.serving.callers import CALLER, unguarded
from gateway.serving.context import Context
from gateway.serving.errors import FieldViolation, InvalidRequest
from gateway.serving.guard import Guard
from gateway.serving.places import Places

Open: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
"""Makes of what a call came with what its handler takes, once the call is let in."""


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


class Method:
    """A method being served: its metrics, ready to be counted in, and what stands around its calls."""

    def __init__(self, hooks: Hooks, places: Places, method: str) -> None:
        self.hooks = hooks
        self.places = places
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

    def opener(self, parse: Callable[[bytes], Any] | None) -> Open:
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
