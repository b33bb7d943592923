# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads on which calls are worked on in turns, so that a call of few objects need not wait for one of many.

Work is a generator that yields between pieces of some milliseconds. It has its thread until it has used its turn, by
the processor time that its pieces take, and then waits for the next one. Whose turn it is: see `fair_queue`.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, Final, Generic, ParamSpec, Self, TypeAlias, TypeVar

from gateway.serving import metrics
from gateway.serving.fair_queue import FairQueue, Turn
from gateway.serving.observed_call import come_back_later

P = ParamSpec("P")
T = TypeVar("T")

Pieces: TypeAlias = Generator[None, None, T]
"""Work that can be interrupted where it yields; what it returns is its result."""

TURN_S: Final = 0.02
"""Processor time of a turn."""

_SHORT_S: Final = 0.05
_WAITED_SHARE: Final = 0.5
_NEWEST: Final = 0.1
# What a piece of `by_blocks` is to take, and how many rows the first one has.
_PIECE_S: Final = 0.005
_FIRST_ROWS: Final = 64


def at_once(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Pieces[T]:
    """Work in one piece."""
    yield from ()
    return work(*args, **kwargs)


def by_blocks(count: int, work: Callable[[slice], None], *, least: int = 1) -> Pieces[None]:
    """Work on consecutive rows, some milliseconds of processor time at a time.

    Args:
        count: of the rows.
        work: does some of them.
        least: rows at a time, where fewer would cost as much.
    """
    start, rows = 0, max(least, _FIRST_ROWS)
    while start < count:
        began_s = time.thread_time()
        work(slice(start, start + rows))
        took_s = time.thread_time() - began_s
        start += rows
        # At most four times as many at once: the first block also pays for what is only done once.
        rows = max(least, min(4 * rows, int(rows * _PIECE_S / max(took_s, 1e-9))))
        yield


def complete(pieces: Pieces[T]) -> T:
    """The result of work that nobody else waits for."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result


@dataclass(slots=True, eq=False)
class _Work(Generic[T]):
    """Work on its way.

    Attributes:
        pieces: what is left of it.
        caller: whose it is.
        latest_s: when it is too late to begin it.
        answer: comes true when it is done.
        used_s: processor time.
    """

    pieces: Pieces[T]
    caller: str
    latest_s: float
    answer: asyncio.Future[T] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    used_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Slice:
    """How a turn ended: whether the work is done, with what, and what the turn took."""

    done: bool
    result: Any
    error: BaseException | None
    cost_s: float


class Turns:
    """Some threads, and the work before them."""

    def __init__(self, threads: int, *, name: str, turn_s: float = TURN_S) -> None:
        """Begin idle.

        Args:
            threads: how many pieces are worked on at a time.
            name: of the threads.
            turn_s: processor time of a turn.
        """
        self.threads = threads
        self._free = threads
        self._turn_s = turn_s
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._queue: FairQueue[_Work[Any]] = FairQueue()
        # Processor time of a turn, the mean.
        self._cost_s = turn_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    async def run(self, pieces: Pieces[T], *, caller: str = "", timeout_s: float | None = None) -> T:
        """Have work done, in turns.

        Work that has waited for half of its caller's time when its first turn comes is refused: threads that begin
        what nobody will wait for answer nobody, once more is asked than they can do. Work whose caller has gone is
        left where it is.

        Args:
            pieces: the work.
            caller: whose it is; callers have equal shares of the threads.
            timeout_s: how long the caller waits; None for ever.

        Raises:
            Overloaded: it has waited too long.
            Exception: what the work raises.
        """
        latest_s = inf if timeout_s is None else time.monotonic() + _WAITED_SHARE * timeout_s
        work = _Work(pieces, caller, latest_s)
        if timeout_s is not None and self._queue.has_ahead_of(caller, timeout_s * self.threads):
            metrics.OVERLOAD_REFUSED.inc()
            raise come_back_later()
        self._put(work)
        try:
            return await work.answer
        finally:
            self._queue.remove(work)
            self._queue.forget(caller, work)

    async def run_all(self, many: Sequence[Pieces[T]], *, caller: str = "", timeout_s: float | None = None) -> list[T]:
        """`run` of several at a time; the first failure ends them all."""
        tasks = [asyncio.create_task(self.run(pieces, caller=caller, timeout_s=timeout_s)) for pieces in many]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def call(self, work: Callable[..., T], *args: Any, caller: str = "", timeout_s: float | None = None) -> T:
        """`run` of work in one piece."""
        return await self.run(at_once(work, *args), caller=caller, timeout_s=timeout_s)

    def _put(self, work: _Work[Any]) -> None:
        self._queue.put(work, caller=work.caller, request=work, expected_s=self._cost_s, short=work.used_s < _SHORT_S)
        self._dispatch()

    def _dispatch(self) -> None:
        """Give free threads to those whose turn it is."""
        while self._free and (turn := self._queue.get()) is not None:
            work = turn.thing
            if not work.used_s and time.monotonic() > work.latest_s:
                metrics.OVERLOAD_REFUSED.inc()
                self._queue.finish(turn, 0.0)
                work.answer.set_exception(come_back_later())
                continue
            self._free -= 1
            given = asyncio.get_running_loop().run_in_executor(self._executor, _work_on, work.pieces, self._turn_s)
            given.add_done_callback(partial(self._came_back, turn))

    def _came_back(self, turn: Turn[_Work[Any]], given: "asyncio.Future[_Slice]") -> None:
        self._free += 1
        work = turn.thing
        if given.cancelled():
            # The pod is being closed.
            self._queue.finish(turn, 0.0)
            work.answer.cancel()
            return
        end = given.result()
        work.used_s += end.cost_s
        metrics.TURN_SECONDS.observe(end.cost_s)
        self._cost_s += _NEWEST * (end.cost_s - self._cost_s)
        self._queue.finish(turn, end.cost_s)
        if work.answer.done():
            self._queue.forget(work.caller, work)
        elif end.error is not None:
            work.answer.set_exception(end.error)
        elif end.done:
            work.answer.set_result(end.result)
        else:
            self._put(work)
            return
        self._dispatch()


def _work_on(pieces: Pieces[Any], turn_s: float) -> _Slice:
    """Go on with work until its turn is used up, in a thread."""
    began_s = time.thread_time()
    try:
        while True:
            next(pieces)
            if time.thread_time() - began_s >= turn_s:
                return _Slice(False, None, None, time.thread_time() - began_s)
    except StopIteration as end:
        return _Slice(True, end.value, None, time.thread_time() - began_s)
    except BaseException as error:  # noqa: BLE001  # raised where the work is waited for
        return _Slice(True, None, error, time.thread_time() - began_s)
