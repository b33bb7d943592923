# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptive micro-batching: what arrives while a call is under way goes together in the next one.

A caller who is alone leaves at once. After a merged call as many callers are expected again, for they answer replies
with the next question, and a millisecond is waited for them: else calls of two or three would follow each other, each
at the price of one of twenty. A batch is formed when it leaves, of the callers still there, so that a caller who has
gone costs the backend nothing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import monotonic
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.front import metrics
from gateway.serving.errors import DeadlineExceeded

Floats = NDArray[np.float64]


_PATIENCE: Final = 12
"""A merged call costs the model server much the same whoever shares it; 12 ms are little to a busy front's callers."""


_HANDFUL: Final = 6
"""Answers at a time: what is sent leaves with the turn of the loop in which it is written, and all answers to a merged
call in one turn would let every caller wait for the last."""


class Divisible(Protocol):
    """An answer whose columns follow the rows of the question."""

    def part(self, rows: slice) -> Self:
        """The answer to some of the rows."""


Answer = TypeVar("Answer", bound=Divisible)


@dataclass(slots=True, eq=False)
class _Caller(Generic[Answer]):
    rows: Floats
    deadline_s: float
    since_s: float
    metadata: Any
    answer: asyncio.Future[Answer]


@dataclass(slots=True)
class _Lane(Generic[Answer]):
    """Callers of one selector.

    Attributes:
        waiting: in the order of their arrival, and how many rows they have.
        under_way: calls.
        expected: callers in the last call; so many are waited for.
        turned_s: when a call left or came back last.
        timer: for whoever waits.
    """

    waiting: deque[_Caller[Answer]] = field(default_factory=deque)
    rows: int = 0
    under_way: int = 0
    expected: int = 1
    turned_s: float = 0.0
    timer: asyncio.TimerHandle | None = None


class MicroBatcher(Generic[Answer]):
    """Merges the rows of concurrent callers who ask the same model."""

    def __init__(
        self, ask: Callable[..., Awaitable[Answer]], *, most_rows: int, most_under_way: int, linger_s: float = 1e-3
    ) -> None:
        """Begin idle.

        Args:
            ask: `ask(selector, rows, timeout=s, metadata=m)` puts the question to the backend, at best before it
                returns; what it returns is awaited, and cancelled if nobody waits any more.
            most_rows: in a merged call; a caller with more goes alone.
            most_under_way: calls of one selector at a time.
            linger_s: how long callers who were there before are waited for. While a call is under way it has twelve
                times as long to come back before another one leaves: a slow backend is asked several things at once.
        """
        self._ask = ask
        self._most_rows = most_rows
        self._most_under_way = most_under_way
        self._linger_s = linger_s
        self._lanes: dict[bytes, _Lane[Answer]] = {}
        self._under_way: set[asyncio.Future[Answer]] = set()

    async def submit(self, selector: bytes, rows: Floats, *, timeout: float, metadata: Any = None) -> Answer:  # noqa: ASYNC109  # gRPC's own word for it; a timer is cheaper than asyncio.timeout
        """Have rows answered.

        Args:
            selector: callers with equal ones may be merged.
            rows: (N, columns), checked: a batch must not fail for one caller's input.
            timeout: s.
            metadata: of the call, if this caller's rows are its first.

        Raises:
            DeadlineExceeded: the timeout passed first.
            Exception: what `ask` raised for the whole batch.
        """
        loop = asyncio.get_running_loop()
        # Not the loop's time, which some loops have in whole milliseconds.
        now_s = monotonic()
        caller: _Caller[Answer] = _Caller(rows, now_s + timeout, now_s, metadata, loop.create_future())
        lane = self._lanes.setdefault(selector, _Lane())
        lane.waiting.append(caller)
        lane.rows += len(rows)
        self._send(selector, lane, now_s)
        timer = loop.call_later(timeout, _expire, caller.answer)
        try:
            # Cancelling whoever waits here cancels the future, which is how the batch learns of it.
            return await caller.answer
        finally:
            timer.cancel()

    def _send(self, selector: bytes, lane: _Lane[Answer], now_s: float) -> None:
        while (leave_s := self._leave_s(lane)) <= now_s and (callers := self._next(lane)):
            lane.under_way += 1
            lane.expected = len(callers)
            lane.turned_s = now_s
            asked = self._put(selector, callers, now_s)
            self._under_way.add(asked)
            asked.add_done_callback(partial(self._came_back, selector, lane, callers))
            _cancel_when_all_are_gone(asked, callers)
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        if now_s < leave_s < inf:
            loop = asyncio.get_running_loop()
            # A timer may be a little early; what it was set for is then true all the same.
            lane.timer = loop.call_later(leave_s - now_s, self._send, selector, lane, leave_s)
        elif not lane.under_way and not lane.waiting:
            self._lanes.pop(selector, None)

    def _leave_s(self, lane: _Lane[Answer]) -> float:
        """When the next call may leave if nobody joins; infinite if something must happen first."""
        if not lane.waiting or lane.under_way >= self._most_under_way:
            return inf
        if lane.rows >= self._most_rows:
            return 0.0
        if lane.under_way:
            return lane.turned_s + _PATIENCE * self._linger_s
        if len(lane.waiting) >= lane.expected:
            return 0.0
        return max(lane.turned_s, lane.waiting[0].since_s) + self._linger_s

    def _came_back(
        self, selector: bytes, lane: _Lane[Answer], callers: list[_Caller[Answer]], asked: asyncio.Future[Answer]
    ) -> None:
        self._under_way.discard(asked)
        lane.under_way -= 1
        lane.turned_s = now_s = monotonic()
        # First, so that the backend works while answers are handed out and written.
        self._send(selector, lane, now_s)
        if asked.cancelled():
            return
        if (error := asked.exception()) is None:
            _hand_out(asked.result(), deque(callers), 0)
            return
        for caller in callers:
            if not caller.answer.done():
                caller.answer.set_exception(error)

    def _next(self, lane: _Lane[Answer]) -> list[_Caller[Answer]]:
        """The callers of the next call, in the order of their arrival; those who have gone are dropped."""
        callers: list[_Caller[Answer]] = []
        count = 0
        while lane.waiting:
            caller = lane.waiting[0]
            if not caller.answer.done():
                if callers and count + len(caller.rows) > self._most_rows:
                    break
                count += len(caller.rows)
                callers.append(caller)
            lane.waiting.popleft()
            lane.rows -= len(caller.rows)
        return callers

    def _put(self, selector: bytes, callers: list[_Caller[Answer]], now_s: float) -> asyncio.Future[Answer]:
        for caller in callers:
            metrics.QUEUE_SECONDS.observe(now_s - caller.since_s)
        rows = np.concatenate([caller.rows for caller in callers]) if len(callers) > 1 else callers[0].rows
        metrics.BATCH_CALLS.observe(len(callers))
        longest_s = max(caller.deadline_s for caller in callers) - now_s
        try:
            asking = self._ask(selector, rows, timeout=longest_s, metadata=callers[0].metadata)
            return asyncio.ensure_future(asking)
        except Exception as error:  # noqa: BLE001  # handed to every caller, none of it is swallowed
            failed: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed


def _hand_out(answer: Answer, callers: deque[_Caller[Answer]], start: int) -> None:
    """Some answers now, the others when those are on their way."""
    for _ in range(min(_HANDFUL, len(callers))):
        caller = callers.popleft()
        end = start + len(caller.rows)
        if not caller.answer.done():
            caller.answer.set_result(answer.part(slice(start, end)))
        start = end
    if callers:
        asyncio.get_running_loop().call_soon(_hand_out, answer, callers, start)


def _expire(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(DeadlineExceeded())


def _cancel_when_all_are_gone(asked: asyncio.Future[Answer], callers: list[_Caller[Answer]]) -> None:
    """Nobody left to tell: the backend need not go on."""
    left = len(callers)

    def one_is_done(_: asyncio.Future[Answer]) -> None:
        nonlocal left
        left -= 1
        if not left:
            # After a reply there is nothing to cancel any more; this only ever ends a call without callers.
            asked.cancel()

    for caller in callers:
        caller.answer.add_done_callback(one_is_done)
