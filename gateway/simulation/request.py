# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller's request: the jobs it has the workers do."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from typing import Final, Protocol

from gateway.serving.errors import BackendUnavailable
from gateway.simulation.jobs import Job, R, U

# How many messages of a request may wait for it to take them.
_MESSAGES_AHEAD: Final = 64


class Workers(Protocol):
    """What runs jobs.

    Attributes:
        size: how many at a time.
    """

    size: int

    def serve(self, request: "Request", job: Job[U, R]) -> AsyncGenerator[U | R, None]:
        """What the job brings."""


class Request:
    """One caller's request, whose jobs share the workers with those of others.

    Attributes:
        caller: who asks.
        running: how many of its jobs have a worker.
        begun: whether any of them has had one.
        used_s: processor time of all its jobs.
    """

    def __init__(self, workers: Workers, caller: str) -> None:
        """Made by `WorkerPool.admit`.

        Args:
            workers: run the jobs.
            caller: who asks.
        """
        self._workers = workers
        self.caller = caller
        self.running = 0
        self.begun = False
        self.used_s = 0.0

    async def run(self, job: Job[U, R]) -> AsyncGenerator[U | R, None]:
        """What a job brings: updates, and its result last.

        Leaving the iterator early stops the job.

        Raises:
            BackendUnavailable: the process died on the way.
            DeadlineExceeded: it took longer than any may.
            RuntimeError: the integrator failed.
        """
        async with contextlib.aclosing(self._workers.serve(self, job)) as messages:
            async for message in messages:
                yield message

    async def run_all(self, jobs: Iterable[Job[U, R]]) -> AsyncGenerator[tuple[int, U | R], None]:
        """What many jobs bring, each message with the number of its job, as they come: jobs overtake each other.

        As many jobs are under way or in the line as there are workers; the next is taken from `jobs` when one ends. A
        job whose process dies is begun again, once. Leaving the iterator early stops them all.

        Raises:
            as `run` does; the other jobs are stopped.
        """
        todo = enumerate(jobs)
        messages: asyncio.Queue[tuple[int, U | R] | Exception | None] = asyncio.Queue(maxsize=_MESSAGES_AHEAD)

        async def follow() -> None:
            for number, job in todo:
                try:
                    await self._follow(number, job, messages)
                except BackendUnavailable:
                    await self._follow(number, job, messages)

        async def follow_all() -> None:
            try:
                async with asyncio.TaskGroup() as followers:
                    for _ in range(self._workers.size):
                        followers.create_task(follow())
            except ExceptionGroup as group:
                await messages.put(group.exceptions[0])
            else:
                await messages.put(None)

        following = asyncio.create_task(follow_all())
        try:
            while (message := await messages.get()) is not None:
                if isinstance(message, Exception):
                    raise message
                yield message
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow(
        self, number: int, job: Job[U, R], messages: "asyncio.Queue[tuple[int, U | R] | Exception | None]"
    ) -> None:
        async with contextlib.aclosing(self._workers.serve(self, job)) as brought:
            async for message in brought:
                await messages.put((number, message))
