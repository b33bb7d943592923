# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams both ways: several messages worked on at a time, replies in order, no more read than is being answered."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

Request = TypeVar("Request")
Reply = TypeVar("Reply")

# After a refusal: the longest time and the most messages that are taken still, and the silence that ends it.
_DRAIN_S: Final = 0.5
_DRAIN_MESSAGES: Final = 1_000
_QUIET_S: Final = 0.05


class BusyStreams:
    """Streams of a service that have messages worked on; they share its limits equally.

    Attributes:
        count: how many.
    """

    def __init__(self) -> None:
        self.count = 0


class _Room:
    """How much of a stream is being worked on: a number of messages, and their summed weight."""

    def __init__(self, most_messages: int, most_weight: int, busy: BusyStreams) -> None:
        self._most_messages, self._most_weight = most_messages, most_weight
        self._messages = self._weight = 0
        self._freed = asyncio.Event()
        self._busy = busy

    async def take(self, weight: int) -> None:
        """Wait until one more fits; one always fits into an empty room."""
        while self._messages and not self._fits(weight):
            self._freed.clear()
            await self._freed.wait()
        self._busy.count += not self._messages
        self._messages += 1
        self._weight += weight

    def free(self, weight: int) -> None:
        """Give back what one took."""
        self._messages -= 1
        self._weight -= weight
        self._busy.count -= not self._messages
        self._freed.set()

    def close(self) -> None:
        """Give all back."""
        self._busy.count -= bool(self._messages)
        self._messages = 0

    def _fits(self, weight: int) -> bool:
        sharing = max(1, self._busy.count)
        return self._messages < self._most_messages // sharing and self._weight + weight <= self._most_weight // sharing


class Messages(AsyncIterator[Request]):
    """The messages of a call's stream; whoever stops listening leaves the read under way alone.

    gRPC answers a call whose pending read is cancelled with a bare CANCELLED, and the refusal that was the reason for
    stopping never reaches the caller. The read ends by itself with the call.
    """

    def __init__(self, source: AsyncIterable[Request]) -> None:
        self._source = aiter(source)
        self._reading: asyncio.Task[tuple[Request, ...]] | None = None

    async def __anext__(self) -> Request:
        if self._reading is None:
            self._reading = _quietly(asyncio.ensure_future(self._take()))
        taken = await asyncio.shield(self._reading)
        self._reading = None
        if not taken:
            raise StopAsyncIteration
        return taken[0]

    async def drain(self) -> None:
        """Take what a caller goes on to write, for a moment: until nothing comes, or it has been long enough.

        A grpc.aio client whose write fails because the call has ended tells its caller of that (INTERNAL), not of the
        status that ended it.
        """
        with contextlib.suppress(TimeoutError, Exception):
            async with asyncio.timeout(_DRAIN_S):
                for _ in range(_DRAIN_MESSAGES):
                    async with asyncio.timeout(_QUIET_S):
                        await Messages.__anext__(self)

    async def _take(self) -> tuple[Request, ...]:
        try:
            return (await anext(self._source),)
        except StopAsyncIteration:
            return ()


def undisturbed(requests: AsyncIterable[Request]) -> Messages[Request]:
    """The messages of a stream as `Messages`, which they may be already."""
    return requests if isinstance(requests, Messages) else Messages(requests)


def _quietly(task: asyncio.Task[Reply]) -> asyncio.Task[Reply]:
    """A task whose failure nobody may be left to hear of."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def in_order(
    requests: AsyncIterable[Request],
    answer: Callable[[Request], Awaitable[Reply]],
    *,
    weigh: Callable[[Request], int],
    most_messages: int,
    most_weight: int,
    busy: BusyStreams | None = None,
) -> AsyncGenerator[Reply, None]:
    """Answer the messages of a stream, several at a time, and yield the replies in the messages' order.

    A reply counts as being worked on until whoever iterates takes the next, and until then no other message is begun: a
    caller who does not read is not read.
    The first failure ends it, after the replies to all earlier messages; whatever is under way is cancelled then.

    Args:
        requests: the stream.
        answer: answers one message.
        weigh: the size of a message, in any unit.
        most_messages: worked on at a time.
        most_weight: summed over the messages worked on; one message alone may weigh more.
        busy: the streams that share both limits; None where it is this one alone.

    Raises:
        Exception: what `answer` or the stream raised.
    """
    room = _Room(most_messages, most_weight, busy or BusyStreams())
    under_way: asyncio.Queue[tuple[asyncio.Task[Reply], int] | None] = asyncio.Queue()
    tasks: set[asyncio.Task[Reply]] = set()
    taken = asyncio.Event()
    taken.set()

    async def read() -> None:
        try:
            async for request in undisturbed(requests):
                weight = weigh(request)
                await room.take(weight)
                await taken.wait()
                task = asyncio.ensure_future(answer(request))
                tasks.add(task)
                under_way.put_nowait((task, weight))
        finally:
            under_way.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (entry := await under_way.get()) is not None:
            task, weight = entry
            reply = await task
            tasks.discard(task)
            taken.clear()
            yield reply
            taken.set()
            room.free(weight)
        await reader
    finally:
        room.close()
        for left in (reader, *tasks):
            left.cancel()
        for left in (reader, *tasks):
            # Whatever else fails now comes after the failure that the caller is told of.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await left
