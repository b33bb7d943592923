# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a call is: its deadline, its end, and whoever waits for them."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Self

import grpc

from gateway.grpc_h2.client.ended import FORGOTTEN, LOCALLY_CANCELLED, TOO_LATE, Ended
from gateway.grpc_h2.client.method import Method, Options
from gateway.grpc_h2.compression import encoding_of
from gateway.grpc_h2.errors import Malformed
from gateway.grpc_h2.metadata import headers_of, metadata_of
from gateway.grpc_h2.session_events import Headers

if TYPE_CHECKING:
    from gateway.grpc_h2.client.attempt import Attempt
    from gateway.grpc_h2.client.channel import Channel
    from gateway.grpc_h2.client.retrying import Retries

log = logging.getLogger(__name__)


class CallState:
    """How far a call is, and how it ended: the methods that grpc.aio's calls of every kind have."""

    __slots__ = (
        "__weakref__",
        "_attempt",
        "_broken",
        "_callbacks",
        "_channel",
        "_contents",
        "_contents_bytes",
        "_deadline_s",
        "_driver",
        "_encoding",
        "_iterator",
        "_loop",
        "_metadata",
        "_method",
        "_over",
        "_parsed",
        "_reading_style",
        "_retries",
        "_timer",
        "_waiters",
        "_waits_for_ready",
        "_whole",
        "_writer",
        "_writing_style",
    )

    def __init__(self, channel: Channel, method: Method, options: Options) -> None:
        """Nothing is sent yet.

        Args:
            channel: gives connections.
            method: to call.
            options: of this call.

        Raises:
            TypeError: metadata of another type.
            InvalidMetadata: metadata that cannot be sent.
            ValueError: there is no such compression.
        """
        self._over: Ended | None = None
        self._channel = channel
        self._method = method
        self._metadata = headers_of(options.metadata)
        self._encoding = encoding_of(options.compression)
        self._waits_for_ready = bool(options.wait_for_ready)
        self._attempt: Attempt | None = None
        self._driver: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._retries: Retries | None = None
        # Messages that were sent, as prefix and content, as long as they may have to be sent again.
        self._contents: list[tuple[bytes, bytes]] | None = []
        self._whole = False
        self._callbacks: list[Callable[[Any], None]] = []
        # Whoever waits for the next event: headers, an attempt, the end.
        self._waiters: list[asyncio.Future[None]] = []
        # What the source of requests raised.
        self._broken: Exception | None = None
        # Of a stream of replies: whether they are iterated over or read, and their iterator.
        self._reading_style: str | None = None
        self._iterator: AsyncIterator[Any] | None = None
        channel.tally.begin()
        self._loop = loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s: float | None = None
        if options.timeout_s is not None:
            self._deadline_s = loop.time() + options.timeout_s
            # The loop does not hold the call: whoever forgets it ends it before its deadline.
            self._timer = loop.call_later(options.timeout_s, _run_out, weakref.ref(self))
            if options.timeout_s <= 0:
                self._end(TOO_LATE)

    def __del__(self) -> None:
        # Nobody can read its answer any more.
        if getattr(self, "_timer", self) is not self and self._over is None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, FORGOTTEN)

    # grpc.aio.Call

    def cancel(self) -> bool:
        """End it, wherever it is; False where it has ended before."""
        if self._over is not None:
            return False
        self._end(LOCALLY_CANCELLED)
        return True

    def cancelled(self) -> bool:
        """Whether its code is CANCELLED."""
        return self._over is not None and self._over.code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Whether it has ended. Replies of a stream that came before may be unread."""
        return self._over is not None

    def time_remaining(self) -> float | None:
        """Seconds to the deadline; None without one."""
        return None if self._deadline_s is None else max(0.0, self._deadline_s - self._loop.time())

    def add_done_callback(self, callback: Callable[[Self], None]) -> None:
        """Have a function called with this call when it has ended; at once if it has."""
        if self._over is None:
            self._callbacks.append(callback)
        else:
            callback(self)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """What came before the first reply; waits for it."""
        while not (self._over is not None or self._is_answered):
            await self._event()
        attempt = self._attempt
        if attempt is None or attempt.initial is None or self._over is LOCALLY_CANCELLED:
            return grpc.aio.Metadata()
        return _readable(attempt.initial)

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """What came with the status; waits for the end."""
        return _readable((await self._ended()).trailing)

    async def code(self) -> grpc.StatusCode:
        """How it ended; waits for the end."""
        return (await self._ended()).code

    async def details(self) -> str:
        """The status's sentence; waits for the end."""
        return (await self._ended()).details

    async def debug_error_string(self) -> str:
        """The status as text; waits for the end."""
        return (await self._ended()).debug_error_string

    async def wait_for_connection(self) -> None:
        """Wait until the server has begun to answer.

        Raises:
            grpc.aio.AioRpcError: it has ended before, and not well.
        """
        while not (self._over is not None or self._is_answered):
            await self._event()
        if self._over is not None:
            self._raise_for_status(self._over)

    # Its end

    def run_out(self) -> None:
        """The deadline has passed."""
        self._end(TOO_LATE)

    def _end(self, ended: Ended) -> None:
        """Whatever is still under way is broken off."""
        if self._over is not None:
            return
        self._over = ended
        self._channel.tally.end(well=ended.code is grpc.StatusCode.OK)
        if self._timer is not None:
            self._timer.cancel()
        if self._driver is not None:
            self._driver.cancel()
        if self._writer is not None:
            self._writer.cancel()
        if self._attempt is not None:
            self._attempt.end(ended)
        self._wake()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("a callback at the end of a call failed")

    def _raise_for_status(self, ended: Ended) -> None:
        """Raise what grpc.aio raises: CancelledError only where the call was cancelled on this side."""
        if self._broken is not None:
            raise self._broken
        if ended is LOCALLY_CANCELLED:
            raise asyncio.CancelledError
        if ended.code is not grpc.StatusCode.OK:
            raise ended.error()

    # Waiting

    @property
    def _is_answered(self) -> bool:
        return self._attempt is not None and self._attempt.initial is not None

    async def _ended(self) -> Ended:
        while self._over is None:
            await self._event()
        return self._over

    def _event(self) -> asyncio.Future[None]:
        """Done when something has happened: an attempt was begun, headers came, the call ended."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


def _run_out(call: weakref.ref[CallState]) -> None:
    if (late := call()) is not None:
        late.run_out()


def _readable(headers: Headers) -> grpc.aio.Metadata:
    try:
        return grpc.aio.Metadata(*metadata_of(headers))
    except Malformed:
        # The call's status says so.
        return grpc.aio.Metadata()
