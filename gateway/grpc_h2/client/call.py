# SPDX-License-Identifier: GPL-3.0-or-later
"""One call: attempt after attempt until one has ended for good, within one deadline (gRFC A6)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc

from gateway.grpc_h2.client.attempt import Attempt, NoStreamLeft
from gateway.grpc_h2.client.ended import CANCELLED, TOO_LATE, Ended
from gateway.grpc_h2.session_events import Headers
from gateway.grpc_h2.wire import header_of, timeout_text

if TYPE_CHECKING:
    from gateway.grpc_h2.client.channel import Channel
    from gateway.grpc_h2.client.connection import Connection

T = TypeVar("T")

# An attempt that found no server, or lost it, before the server began to answer.
_MOST_ATTEMPTS: Final = 4
_FIRST_BACKOFF_S: Final = 0.05
_MOST_BACKOFF_S: Final = 0.5
# What a server has refused to look at is asked again at once, so often.
_MOST_UNSEEN: Final = 2
# Of a stream of requests, what is kept to be said again; after more there is no other attempt.
_MOST_KEPT_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Method:
    """What is called, and how its messages are written and read.

    Attributes:
        headers: of every call.
        serialise: makes bytes of a request; None where they are.
        parse: makes a reply of bytes; None where they are to stay.
    """

    headers: Headers
    serialise: Callable[[Any], bytes] | None
    parse: Callable[[bytes], Any] | None


class Call(AsyncIterator[Any]):
    """A call; iterating gives its replies."""

    def __init__(
        self,
        channel: Channel,
        method: Method,
        timeout_s: float | None,
        metadata: Sequence[tuple[str, str | bytes]] | None,
        *,
        request: Any = None,
        requests: AsyncIterable[Any] | None = None,
    ) -> None:
        """Nothing is sent before `start`, or before the first reply is asked for.

        Args:
            channel: gives connections.
            method: to call.
            timeout_s: for all of it; None for as long as it takes.
            metadata: of ours.
            request: the only one, unless there are
            requests: a stream of them.

        Raises:
            grpc.aio.AioRpcError: the request is too large.
        """
        self._channel = channel
        self._method = method
        self._said = [header_of(key, value) for key, value in metadata or ()]
        self._attempt: Attempt | None = None
        self._over: Ended | None = None
        self._failures = self._unseen = self._kept_bytes = 0
        # What was sent, as long as it may have to be sent again; and whether that is all.
        self._kept: list[bytes] | None = [] if requests is not None else [self._content(request)]
        self._is_whole = requests is None
        self._requests = requests
        self._writer: asyncio.Task[None] | None = None
        self._under_way = None if requests is None else asyncio.Event()
        self._broken: Exception | None = None
        self._waiting: asyncio.Timeout | None = None
        channel.tally.begin()
        self._loop = asyncio.get_running_loop()
        self._deadline_s = None if timeout_s is None else self._loop.time() + timeout_s
        self._timer = None if timeout_s is None else self._loop.call_later(timeout_s, self._run_out)

    def start(self) -> None:
        """Send its one request now, if there is a connection; who does not await it then, cancels it."""
        if (connection := self._channel.pick()) is not None:
            try:
                self._attempt = self._attempt_on(connection)
            except ValueError:
                # Of metadata that are too much.
                self._end(CANCELLED)
                raise

    def __del__(self) -> None:
        # A task that is cancelled before its first step never awaits what it was given.
        if hasattr(self, "_timer") and self._over is None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, CANCELLED)

    def __await__(self) -> Generator[Any, None, Any]:
        """The one reply; see `only`."""
        return self.only().__await__()

    async def only(self) -> Any:
        """The one reply.

        Raises:
            grpc.aio.AioRpcError: there is none.
        """
        try:
            while True:
                if self._attempt is None:
                    self._attempt = await self._begin()
                attempt = self._attempt
                ended = await attempt.end_of_it()
                if ended.code is grpc.StatusCode.OK:
                    break
                self._attempt = None
                await self._before_another(ended, attempt)
            replies = []
            while (framed := await attempt.next_answer()) is not None:
                replies.append(framed)
            if len(replies) != 1:
                raise Ended(grpc.StatusCode.INTERNAL, f"{len(replies)} answers to a call that has one").error()
            self._end(ended)
            return self._reply(attempt, replies[0])
        finally:
            self._end(CANCELLED)

    async def __anext__(self) -> Any:
        if self._requests is not None and self._under_way is not None and self._writer is None:
            self._writer = self._loop.create_task(self._write(self._requests, self._under_way))
        try:
            while True:
                if self._attempt is None:
                    self._attempt = await self._begin()
                    if self._under_way is not None:
                        self._under_way.set()
                attempt = self._attempt
                framed = await attempt.next_answer()
                if framed is not None:
                    return self._reply(attempt, framed)
                ended = await attempt.end_of_it()
                if ended.code is grpc.StatusCode.OK:
                    break
                self._attempt = None
                await self._before_another(ended, attempt)
        except BaseException:
            # Whatever it was, nobody will read more.
            self._end(CANCELLED)
            raise
        self._end(ended)
        raise StopAsyncIteration

    def cancel(self) -> None:
        """End it, wherever it is."""
        self._end(CANCELLED)

    # Attempts

    async def _begin(self) -> Attempt:
        """The next attempt."""
        while True:
            if self._over is not None:
                raise self._broken or self._over.error()
            connection = self._channel.pick()
            if connection is None:
                failure = await self._in_time(self._channel.connected())
                if failure:
                    await self._before_another(Ended(grpc.StatusCode.UNAVAILABLE, failure), None)
                continue
            if (attempt := self._attempt_on(connection)) is not None:
                return attempt

    def _attempt_on(self, connection: Connection) -> Attempt | None:
        """An attempt with everything said that was said so far; None where the connection has no room for it."""
        try:
            attempt = Attempt(connection, self._headers(), self._channel.max_message_bytes)
        except NoStreamLeft:
            return None
        for content in self._kept or ():
            attempt.send(content)
        if self._is_whole:
            attempt.finish()
        return attempt

    async def _before_another(self, ended: Ended, attempt: Attempt | None) -> None:
        """Wait until another attempt may be made.

        Raises:
            grpc.aio.AioRpcError: none may be.
        """
        if self._broken is not None:
            raise self._broken
        if self._over is not None or self._kept is None or (attempt is not None and attempt.is_answered):
            raise self._end(ended).error()
        if ended.unseen and self._unseen < _MOST_UNSEEN:
            self._unseen += 1
            return
        self._failures += 1
        pushback_s = ended.pushback_s()
        never = pushback_s is not None and pushback_s < 0
        if ended.code is not grpc.StatusCode.UNAVAILABLE or self._failures >= _MOST_ATTEMPTS or never:
            raise self._end(ended).error()
        backoff_s = min(_FIRST_BACKOFF_S * 2 ** (self._failures - 1), _MOST_BACKOFF_S)
        jittered_s = backoff_s * random.uniform(0.8, 1.2)  # noqa: S311  # nothing to guess
        await self._in_time(asyncio.sleep(jittered_s if pushback_s is None else pushback_s))

    async def _in_time(self, waiting: Awaitable[T]) -> T:
        """Wait, at most until the call is over."""
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await waiting
        except TimeoutError:
            raise self._broken or self._end(CANCELLED).error() from None
        finally:
            self._waiting = None

    def _headers(self) -> Headers:
        headers = self._method.headers + self._said
        if self._deadline_s is not None:
            headers.append((b"grpc-timeout", timeout_text(self._deadline_s - self._loop.time())))
        if self._failures:
            headers.append((b"grpc-previous-rpc-attempts", b"%d" % self._failures))
        return headers

    def _run_out(self) -> None:
        self._end(TOO_LATE)

    def _end(self, ended: Ended) -> Ended:
        """Whatever is still under way is broken off; returns how the call has ended, which may have been before."""
        if self._over is None:
            self._over = ended
            self._channel.tally.end(well=ended.code is grpc.StatusCode.OK)
            if self._waiting is not None:
                self._waiting.reschedule(self._loop.time())
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None:
            self._writer.cancel()
        if self._attempt is not None:
            self._attempt.end(self._over)
        return self._over

    # Messages

    def _reply(self, attempt: Attempt, framed: tuple[bool, bytes]) -> Any:
        content = attempt.plain(framed)
        return content if self._method.parse is None else self._method.parse(content)

    def _content(self, request: Any) -> bytes:
        content: bytes = request if self._method.serialise is None else self._method.serialise(request)
        if len(content) > self._channel.max_message_bytes:
            details = f"a request of {len(content)} bytes: at most {self._channel.max_message_bytes} may be sent"
            raise Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, details).error()
        return content

    async def _write(self, requests: AsyncIterable[Any], under_way: asyncio.Event) -> None:
        try:
            async for request in requests:
                content = self._content(request)
                # Between two attempts nothing is kept, for it could be too much.
                while (attempt := self._attempt) is None or attempt.ended is not None:
                    under_way.clear()
                    await under_way.wait()
                self._keep(content)
                attempt.send(content)
                await attempt.room()
            self._is_whole = True
            if self._attempt is not None:
                self._attempt.finish()
        except Exception as error:  # noqa: BLE001  # of the requests' source; whoever reads replies is told
            self._broken = error
            self._end(CANCELLED)

    def _keep(self, content: bytes) -> None:
        if self._kept is None:
            return
        # The smallest messages weigh something too.
        self._kept_bytes += len(content) + 64
        answered = self._attempt is not None and self._attempt.is_answered
        if self._kept_bytes > _MOST_KEPT_BYTES or answered:
            self._kept = None
        else:
            self._kept.append(content)
