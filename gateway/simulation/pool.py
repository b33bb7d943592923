# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker processes for simulations, and the line of requests before them.

Processes are spawned, never forked (gRPC's threads do not survive a fork). A job whose caller goes away is stopped at
its next step through a shared flag; a process that dies is replaced. Requests share the processes job by job, fairly:
see `fair_queue`.
"""

import asyncio
import contextlib
import multiprocessing
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import structlog

from gateway.serving.errors import BackendUnavailable, DeadlineExceeded, Overloaded
from gateway.simulation import metrics
from gateway.simulation.fair_queue import FairQueue
from gateway.simulation.jobs import Job, R, U
from gateway.simulation.request import Request
from gateway.simulation.worker import Done, Failed, Ready, Stopped, Told
from gateway.simulation.worker_process import Died, WorkerProcess

log = structlog.get_logger()

_RESTART_AFTER_S: Final = 1.0
# How much the newest of them moves the mean time of jobs and of requests.
_NEWEST: Final = 0.1
# What a first job is taken to cost.
_FIRST_GUESS_S: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """A job's place in the line: its worker comes true."""

    worker: asyncio.Future[WorkerProcess]
    since_s: float


class WorkerPool:
    """A fixed number of processes, and a bounded line of requests before them.

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
    ) -> None:
        """Nothing is started before the pool is entered.

        Args:
            workers: processes.
            max_waiting: requests that are let in beyond one a process.
            retry_after_s: the least that a refused caller is told to wait.
            max_run_s: the longest any job may take.
            asteroid_kernel: for the workers.
        """
        self.size = workers
        self._max_waiting = max_waiting
        self._retry_after_s = retry_after_s
        self._max_run_s = max_run_s
        self._asteroid_kernel = asteroid_kernel
        self._context = multiprocessing.get_context("spawn")
        self._workers: set[WorkerProcess] = set()
        self._idle: deque[WorkerProcess] = deque()
        self._line: FairQueue[_Seat] = FairQueue()
        self._requests: set[Request] = set()
        self._job_s = _FIRST_GUESS_S
        self._request_s = 0.0
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
        return sum(not request.running for request in self._requests)

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
    def admit(self, caller: str = "") -> Iterator[Request]:
        """A request that may run jobs while entered.

        Args:
            caller: who asks; callers get equal shares of the workers, and so do the requests of one.

        Raises:
            Overloaded: too many are there already; it says when they will be done if they are like those before.
        """
        if len(self._requests) >= self.size + self._max_waiting:
            metrics.REFUSED.inc()
            expected_s = len(self._requests) * self._request_s / self.size
            raise Overloaded(max(self._retry_after_s, min(expected_s, self._max_run_s)))
        request = Request(self, caller)
        self._requests.add(request)
        try:
            yield request
        finally:
            self._requests.discard(request)
            self._line.forget(caller, request)
            self._request_s += _NEWEST * (request.busy_s - self._request_s)
            self._measure()

    async def run(self, job: Job[U, R], *, caller: str = "") -> AsyncGenerator[U | R, None]:
        """`Request.run` of a request that is one job.

        Raises:
            Overloaded: too many are there already.
            as `Request.run` does.
        """
        with self.admit(caller) as request:
            async with contextlib.aclosing(self.serve(request, job)) as messages:
                async for message in messages:
                    yield message

    async def serve(self, request: Request, job: Job[U, R]) -> AsyncGenerator[U | R, None]:
        """`Request.run` asks this."""
        worker, guess_s = await self._take(request)
        begun_s = time.monotonic()
        timeout = asyncio.get_running_loop().call_later(self._max_run_s, worker.cancel)
        settled = False
        try:
            worker.submit(job)
            while not settled:
                message = await worker.messages.get()
                settled = isinstance(message, Done | Stopped | Failed | Died)
                match message:
                    case Told(update):
                        yield update
                    case Done(result):
                        yield result
                    case Died():
                        raise BackendUnavailable("simulation worker")
                    case Stopped():
                        raise DeadlineExceeded
                    case Failed(reason):
                        raise RuntimeError(f"the integrator failed: {reason}")
                    case Ready():
                        pass
        finally:
            timeout.cancel()
            if not settled:
                worker.cancel()
            self._account(request, time.monotonic() - begun_s, guess_s)
            self._keep(self._give_back(worker, settled=settled))

    async def _take(self, request: Request) -> tuple[WorkerProcess, float]:
        """A worker when it is the request's turn, and the seconds that were charged for it."""
        guess_s = self._job_s
        seat = _Seat(asyncio.get_running_loop().create_future(), time.monotonic())
        self._line.put(request.caller, request, seat)
        self._dispatch()
        try:
            worker = await seat.worker
        except asyncio.CancelledError:
            self._line.remove(request.caller, request, seat)
            if seat.worker.done() and not seat.worker.cancelled():
                self._put_idle(seat.worker.result())
            raise
        finally:
            self._measure()
        request.running += 1
        metrics.QUEUE_SECONDS.observe(time.monotonic() - seat.since_s)
        self._measure()
        return worker, guess_s

    def _dispatch(self) -> None:
        """Give idle workers to those whose turn it is."""
        while self._idle and len(self._line):
            worker = self._idle.popleft()
            if worker.dead:
                self._keep(self._replace(worker))
                continue
            seat = self._line.get(self._job_s)
            if seat.worker.done():
                self._idle.appendleft(worker)
            else:
                seat.worker.set_result(worker)

    def _account(self, request: Request, took_s: float, guess_s: float) -> None:
        request.running -= 1
        request.busy_s += took_s
        self._line.charge(request.caller, request, took_s - guess_s)
        self._job_s += _NEWEST * (took_s - self._job_s)
        metrics.JOB_SECONDS.observe(took_s)

    async def _give_back(self, worker: WorkerProcess, *, settled: bool) -> None:
        if not settled:
            await worker.settle()
        if worker.dead:
            await self._replace(worker)
        else:
            self._put_idle(worker)

    def _put_idle(self, worker: WorkerProcess) -> None:
        self._idle.append(worker)
        self._dispatch()
        self._measure()

    async def _replace(self, worker: WorkerProcess) -> None:
        log.error("a simulation worker died; starting another", pid=worker.pid)
        self._workers.discard(worker)
        await worker.close()
        await self._start(after_s=0.0)

    async def _start(self, *, after_s: float) -> None:
        """Start one process and put it to the idle ones; again and again until one comes up."""
        await asyncio.sleep(after_s)
        worker = WorkerProcess(self._context, self._asteroid_kernel)
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
        metrics.QUEUE_LENGTH.set(len(self._line))
        metrics.WAITING_REQUESTS.set(self.waiting)
        metrics.WORKERS.set(len(self._workers))
        metrics.BUSY_WORKERS.set(len(self._workers) - len(self._idle))

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
