# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread that writes: what waits while a commit is under way shares the next one.

A commit costs a write to disk that is waited for, whether it holds one vote or sixty. Each work has a savepoint of its
own, so one that is refused takes nothing away from the others; its caller hears of it after the commit.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection

from gateway.feedback import metrics
from gateway.feedback.store.database import BeginAgain, StoreUnavailable
from gateway.feedback.store.store import Store, Work, attempt
from gateway.serving.errors import Overloaded, ServingError, StoreFull

T = TypeVar("T")

_TRIES: Final = 5

log = structlog.get_logger()


class _Job:
    """A work and who waits for it."""

    __slots__ = ("outcome", "work")

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.outcome: Future[Any] = Future()


class Writer:
    """Takes works from coroutines; its thread does them."""

    def __init__(self, store: Store, *, most: int, max_waiting: int, retry_after_s: float) -> None:
        """Start the thread.

        Args:
            store: to write to.
            most: works that share a commit.
            max_waiting: works that may wait.
            retry_after_s: what a caller is told when more would.
        """
        self._store = store
        self._most = most
        self._retry_after_s = retry_after_s
        self._waiting: queue.Queue[_Job | None] = queue.Queue(max_waiting)
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name="feedback-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """Do a work, and return once it is on disk.

        A caller who goes away before its turn takes the work with it.

        Raises:
            Overloaded: too many are waiting.
            ServingError: what the work or the store refused.
        """
        job = _Job(work)
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            raise Overloaded(self._retry_after_s) from None
        result: T = await asyncio.wrap_future(job.outcome)
        return result

    def close(self) -> None:
        """Do what waits, and stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            jobs = [job]
            last = False
            while len(jobs) < self._most and not last:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    last = True
                else:
                    jobs.append(following)
            metrics.WAITING.set(self._waiting.qsize())
            self._commit([job for job in jobs if job.outcome.set_running_or_notify_cancel()])
            if last:
                return

    def _commit(self, jobs: list[_Job]) -> None:
        """All together; one by one where the database would not have them together."""
        if not jobs:
            return
        try:
            ends = self._transaction(jobs)
        except ServingError as error:
            if len(jobs) > 1 and not _is_away(error):
                for job in jobs:
                    self._commit([job])
                return
            self._note(getattr(error, "cause", type(error).__name__))
            ends = [partial(job.outcome.set_exception, error) for job in jobs]
        except Exception as error:  # noqa: BLE001  # whoever waits must hear of it, whatever it is
            ends = [partial(job.outcome.set_exception, error) for job in jobs]
        else:
            self._note("")
        for end in ends:
            end()

    def _note(self, cause: str) -> None:
        """Say once why nothing is kept, and once that it is again."""
        if cause != self._failing:
            self._failing = cause
            if cause:
                log.error("votes are refused", cause=cause)
            else:
                log.info("votes are kept again")

    def _transaction(self, jobs: list[_Job]) -> list[Callable[[], None]]:
        """Do works and commit; again if another process' transaction stood in the way.

        Returns:
            What tells each caller.
        """
        tries = 0
        while True:
            tries += 1
            started_s = time.perf_counter()
            try:
                with self._store.database.writing() as connection:
                    ends = [_do(connection, job) for job in jobs]
            except BeginAgain:
                if tries == _TRIES:
                    raise
                continue
            metrics.COMMIT_SECONDS.observe(time.perf_counter() - started_s)
            metrics.COMMIT_WORKS.observe(len(jobs))
            return ends


def _do(connection: Connection, job: _Job) -> Callable[[], None]:
    """Do one work.

    Raises:
        StoreUnavailable, StoreFull: the transaction is lost, the others' works with it.
    """
    try:
        result = attempt(connection, job.work)
    except (StoreUnavailable, StoreFull):
        raise
    except Exception as error:  # noqa: BLE001  # whoever waits must hear of it, whatever it is
        return partial(job.outcome.set_exception, error)
    return partial(job.outcome.set_result, result)


def _is_away(error: ServingError) -> bool:
    """Whether trying one by one would only take longer."""
    return isinstance(error, StoreUnavailable) and not isinstance(error, BeginAgain)
