# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker processes for simulations, and the queue of requests before them.

Processes are spawned, never forked (gRPC's threads do not survive a fork). A job has its worker for a slice of
processor time; then it waits for its next turn, halted within its process. A job whose caller goes away is stopped at
its next step through a shared flag; a process that dies is replaced. Whose turn it is: see `fair_queue`.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import structlog

from gateway.serving.errors import BackendUnavailable, DeadlineExceeded
from gateway.serving.fair_queue import FairQueue, Turn
from gateway.simulation import metrics
from gateway.simulation.admission import Admission
from gateway.simulation.jobs import Job, R, U
from gateway.simulation.request import Request
from gateway.simulation.running_job import Running, Ticket
from gateway.simulation.sliced_job import Done, Failed, Halted, SliceEnd, Stopped
from gateway.simulation.worker import Begin, Drop, Ready, Resume, Update
from gateway.simulation.worker_process import Died, WorkerProcess

log = structlog.get_logger()

SLICE_S: Final = 0.1
"""Processor time of a slice. Halting and resuming a job takes a millisecond."""

SHORT_S: Final = 1.0
"""A request that has used less processor time than this goes first."""

_RESTART_AFTER_S: Final = 1.0
# How much the newest slice moves the mean.
_NEWEST: Final = 0.1


class WorkerPool:
    """A fixed number of processes, and a bounded queue of requests before them.

    Attributes:
        size: how many processes there are to be.
    """

    def __init__(
        self,
        *,
        workers: int,
        max_waiting: int,
        retry_after_s: float = 1.0,
        max_run_s: float = 300.0,
        asteroid_kernel: Path | None = None,
        slice_s: float = SLICE_S,
    ) -> None:
        """Nothing is started before the pool is entered.

        Args:
            workers: processes.
            max_waiting: requests that are let in beyond one a process.
            retry_after_s: the least time after which a refused caller is to come back.
            max_run_s: the most processor time that a job may use.
            asteroid_kernel: for the workers.
            slice_s: processor time of a turn.
        """
        self.size = workers
        self._max_run_s = max_run_s
        self._asteroid_kernel = asteroid_kernel
        self._slice_s = slice_s
        self._context = multiprocessing.get_context("spawn")
        self._workers: set[WorkerProcess] = set()
        self._idle: deque[WorkerProcess] = deque()
        self._queue: FairQueue[Ticket] = FairQueue()
        self._tickets: set[Ticket] = set()
        self._numbers = itertools.count()
        self._admission = Admission(
            places=workers + max_waiting, workers=workers, retry_after_s=retry_after_s, longest_s=max_run_s
        )
        # Means: processor time of a slice, and the time that it takes on the clock.
        self._cost_s = slice_s
        self._took_s = slice_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for _ in range(self.size):
            self._keep(self._start(after_s=0.0))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))
        self._workers.clear()
        self._idle.clear()
        self._measure()

    @property
    def ready(self) -> bool:
        """Whether any process is alive and has its kernels open."""
        return any(not worker.dead for worker in self._workers)

    @property
    def idle(self) -> int:
        """How many processes wait for work."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many requests have nothing running."""
        return sum(not request.running for request in self._admission.requests)

    @property
    def pids(self) -> list[int]:
        """Of the processes that are ready."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def heal(self) -> None:
        """Replace processes that died while they had nothing to do."""
        for worker in [worker for worker in self._idle if worker.dead]:
            self._idle.remove(worker)
            self._keep(self._replace(worker))

    @contextlib.contextmanager
    def admit(self, caller: str = "", *, deadline_s: float | None = None) -> Iterator[Request]:
        """A request that may run jobs while entered.

        Args:
            caller: who asks; callers get equal shares of the workers, and so do the requests of one.
            deadline_s: how long the caller waits for the answer; None for ever.

        Raises:
            Overloaded: the caller has too many requests here already, or this one's turn would come after its
                deadline; it says when to come back.
        """
        request = Request(self, caller)
        with self._admission.place(request, self._expected_wait_s(caller), deadline_s):
            try:
                yield request
            finally:
                self._queue.forget(caller, request)
                self._measure()

    async def run(
        self, job: Job[U, R], *, caller: str = "", deadline_s: float | None = None
    ) -> AsyncGenerator[U | R, None]:
        """`Request.run` of a request that is one job.

        Raises:
            Overloaded: as `admit` does.
            as `Request.run` does.
        """
        with self.admit(caller, deadline_s=deadline_s) as request:
            async with contextlib.aclosing(self.serve(request, job)) as messages:
                async for message in messages:
                    yield message

    async def serve(self, request: Request, job: Job[U, R]) -> AsyncGenerator[U | R, None]:
        """Slices of a job, each in its turn; `Request.run` asks this."""
        running = Running(request, job, next(self._numbers))
        self._queue_up(running)
        try:
            while running.used_s < self._max_run_s:
                async with contextlib.aclosing(self._slice(running)) as messages:
                    async for message in messages:
                        if isinstance(message, Update):
                            yield message.update
                        else:
                            yield message.result
                            return
            raise DeadlineExceeded
        finally:
            self._leave(running.ticket)
            if running.home is not None:
                running.home.drop(Drop(running.number))

    async def _slice(self, running: Running) -> AsyncGenerator[Update | Done, None]:
        """What a job brings in its next turn."""
        worker, turn = await self._take(running.ticket)
        order = Begin(running.number, running.job) if running.home is None else Resume(running.number)
        running.home = None
        began_s = time.monotonic()
        end: SliceEnd | Died | None = None
        try:
            worker.run(order)
            while not isinstance(message := await worker.messages.get(), SliceEnd | Died):
                if isinstance(message, Update):
                    yield message
            end = message
        finally:
            self._account(running, turn, end, time.monotonic() - began_s)
            if isinstance(end, Halted):
                running.home = worker
                # Before its worker is given to others: this job is one of those who may have it.
                self._queue_up(running)
            if end is None:
                self._keep(self._stop(worker, running.number))
            else:
                self._give_back(worker)
        match end:
            case Done():
                yield end
            case Died():
                raise BackendUnavailable("simulation worker")
            case Stopped():
                raise DeadlineExceeded
            case Failed(reason):
                raise RuntimeError(f"the integrator failed: {reason}")

    def _queue_up(self, running: Running) -> None:
        ticket = running.ticket = Ticket(running)
        if running.home is not None and running.home.dead:
            self._strand(ticket)
            return
        request = running.request
        self._tickets.add(ticket)
        self._queue.put(
            ticket,
            caller=request.caller,
            request=request,
            expected_s=self._cost_s,
            short=request.used_s < SHORT_S,
        )
        self._dispatch()
        self._measure()

    async def _take(self, ticket: Ticket) -> tuple[WorkerProcess, Turn[Ticket]]:
        """A worker when it is the job's turn.

        Raises:
            BackendUnavailable: the job was halted in a process that died.
        """
        worker, turn = await ticket.given
        ticket.taken = True
        request = ticket.running.request
        request.running += 1
        request.begun = True
        metrics.QUEUE_SECONDS.observe(time.monotonic() - ticket.since_s)
        self._measure()
        return worker, turn

    def _leave(self, ticket: Ticket) -> None:
        """Free the place of a job that does not wait any more."""
        self._tickets.discard(ticket)
        self._queue.remove(ticket)
        given = ticket.given
        if given.cancel() or given.cancelled() or ticket.taken or given.exception() is not None:
            self._measure()
            return
        # Its turn came in the same moment.
        worker, turn = given.result()
        self._queue.finish(turn, 0.0)
        self._give_back(worker)

    def _strand(self, ticket: Ticket) -> None:
        """The process in which a job was halted is gone."""
        self._tickets.discard(ticket)
        self._queue.remove(ticket)
        ticket.running.home = None
        if not ticket.given.done():
            ticket.given.set_exception(BackendUnavailable("simulation worker"))

    def _dispatch(self) -> None:
        """Give idle workers to those whose turn it is."""
        for worker in tuple(self._idle):
            if not len(self._queue):
                return
            if worker.dead:
                self._idle.remove(worker)
                self._keep(self._replace(worker))
                continue
            turn = self._queue.get(partial(Ticket.may_run_on, worker=worker))
            if turn is not None:
                self._idle.remove(worker)
                self._tickets.discard(turn.thing)
                turn.thing.given.set_result((worker, turn))

    def _account(self, running: Running, turn: Turn[Ticket], end: SliceEnd | Died | None, took_s: float) -> None:
        """Count what a slice has cost; one that is being stopped still says only by the clock."""
        cost_s = took_s if end is None or isinstance(end, Died) else end.cost_s
        request = running.request
        running.used_s += cost_s
        request.running -= 1
        request.used_s += cost_s
        self._queue.finish(turn, cost_s)
        self._cost_s += _NEWEST * (cost_s - self._cost_s)
        self._took_s += _NEWEST * (took_s - self._took_s)
        metrics.SLICE_SECONDS.observe(cost_s)

    def _expected_wait_s(self, caller: str) -> float:
        """Until a new request of a caller has its first turn, from what is queued and what slices have taken."""
        if self._idle and not len(self._queue):
            return 0.0
        on_the_clock = self._took_s / max(self._cost_s, 1e-3)
        return (self._cost_s + self._queue.ahead_of(caller)) * on_the_clock / self.size

    def _give_back(self, worker: WorkerProcess) -> None:
        if worker.dead:
            self._keep(self._replace(worker))
        else:
            self._put_idle(worker)

    async def _stop(self, worker: WorkerProcess, number: int) -> None:
        """End the slice that is running, and its job."""
        worker.cancel()
        if isinstance(await worker.settle(), Halted):
            worker.drop(Drop(number))
        self._give_back(worker)

    def _put_idle(self, worker: WorkerProcess) -> None:
        self._idle.append(worker)
        self._dispatch()
        self._measure()

    async def _replace(self, worker: WorkerProcess) -> None:
        log.error("a simulation worker died; starting another", pid=worker.pid)
        self._workers.discard(worker)
        for ticket in [ticket for ticket in self._tickets if ticket.running.home is worker]:
            self._strand(ticket)
        await worker.close()
        await self._start(after_s=0.0)

    async def _start(self, *, after_s: float) -> None:
        """Start one process and put it to the idle ones; again and again until one comes up."""
        await asyncio.sleep(after_s)
        worker = WorkerProcess(self._context, self._asteroid_kernel, self._slice_s)
        try:
            came_up = isinstance(await worker.messages.get(), Ready)
        except asyncio.CancelledError:
            await worker.close()
            raise
        if came_up:
            self._workers.add(worker)
            self._put_idle(worker)
            return
        log.error("a simulation worker did not come up", pid=worker.pid)
        await worker.close()
        await self._start(after_s=_RESTART_AFTER_S)

    def _measure(self) -> None:
        metrics.QUEUE_LENGTH.set(len(self._queue))
        metrics.WAITING_REQUESTS.set(self.waiting)
        metrics.WORKERS.set(len(self._workers))
        metrics.BUSY_WORKERS.set(len(self._workers) - len(self._idle))

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
