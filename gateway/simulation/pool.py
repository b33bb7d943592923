# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker processes for simulations, seen from an asyncio loop.

Processes are spawned, never forked (gRPC's threads do not survive a fork). A scenario whose caller goes away is
stopped at its next step through a shared flag; a process that dies is replaced.
"""

import asyncio
import contextlib
import multiprocessing
import threading
from collections.abc import AsyncGenerator, Coroutine
from ctypes import c_bool
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Final, Self, TypeAlias

import structlog

from gateway.serving.errors import BackendUnavailable, DeadlineExceeded, Overloaded
from gateway.simulation.scenario import Outcome, Scenario, Update
from gateway.simulation.worker import Failed, Ready, Stopped, work

log = structlog.get_logger()

_STOP_WITHIN_S: Final = 2.0
_RESTART_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Died:
    """The process is gone."""


_Message: TypeAlias = Update | Outcome | Ready | Stopped | Failed | Died


class _Worker:
    """One process, with a thread that carries its messages into the loop."""

    def __init__(self, context: SpawnContext, asteroid_kernel: Path | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection, theirs = context.Pipe()
        self._cancel = RawValue(c_bool, False)
        self._process = context.Process(target=work, args=(theirs, self._cancel, asteroid_kernel), daemon=True)
        self._process.start()
        theirs.close()
        self._gone = False
        self.messages: asyncio.Queue[_Message] = asyncio.Queue()
        self._reader = threading.Thread(target=self._carry, name=f"worker-{self.pid}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid

    @property
    def dead(self) -> bool:
        """Whether the process is gone: its end of the pipe is, which comes before the process can be waited for."""
        return self._gone

    def submit(self, scenario: Scenario | None) -> None:
        """Hand over a scenario; None ends the process when it is done. A dead one says so in its messages."""
        self._cancel.value = False
        with contextlib.suppress(OSError):
            self._connection.send(scenario)

    def cancel(self) -> None:
        """Stop the scenario at its next step."""
        self._cancel.value = True

    async def settle(self) -> None:
        """Take messages until the cancelled scenario has come to its end; a process that does not answer is killed."""
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await self._end()
        except TimeoutError:
            self._process.kill()
            await self._end()

    async def close(self) -> None:
        """End the process, with force if it takes too long, and free what it held."""
        self.submit(None)
        self.cancel()
        await asyncio.to_thread(self._process.join, _STOP_WITHIN_S)
        if self._process.is_alive():
            self._process.kill()
        await asyncio.to_thread(self._reader.join)
        await asyncio.to_thread(self._process.join)
        self._process.close()
        self._connection.close()

    async def _end(self) -> None:
        while not isinstance(await self.messages.get(), Outcome | Stopped | Failed | Died):
            pass

    def _carry(self) -> None:
        message: _Message = Ready()
        while not isinstance(message, Died):
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                self._gone = True
                message = Died()
            # A closed loop has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.messages.put_nowait, message)


class WorkerPool:
    """A fixed number of processes, and a bounded line of scenarios before them."""

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
            max_waiting: scenarios that may wait for one.
            retry_after_s: what a refused caller is told.
            max_run_s: the longest any scenario may take.
            asteroid_kernel: for the workers.
        """
        self._size = workers
        self._max_waiting = max_waiting
        self._retry_after_s = retry_after_s
        self._max_run_s = max_run_s
        self._asteroid_kernel = asteroid_kernel
        self._context = multiprocessing.get_context("spawn")
        self._workers: set[_Worker] = set()
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for _ in range(self._size):
            self._keep(self._start(after_s=0.0))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    @property
    def ready(self) -> bool:
        """Whether any process is alive and has its kernels open."""
        return any(not worker.dead for worker in self._workers)

    @property
    def idle(self) -> int:
        """How many processes wait for work."""
        return self._idle.qsize()

    @property
    def pids(self) -> list[int]:
        """Of the processes that are ready."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def heal(self) -> None:
        """Replace processes that died while they had nothing to do."""
        for _ in range(self._idle.qsize()):
            worker = self._idle.get_nowait()
            if worker.dead:
                self._keep(self._replace(worker))
            else:
                self._idle.put_nowait(worker)

    async def run(self, scenario: Scenario) -> AsyncGenerator[Update | Outcome, None]:
        """What a scenario brings: updates, and the outcome last.

        Leaving the iterator early stops the scenario.

        Raises:
            Overloaded: too many wait already.
            BackendUnavailable: the process died on the way.
            DeadlineExceeded: it took longer than any may.
            RuntimeError: the integrator failed.
        """
        worker = await self._take()
        timeout = asyncio.get_running_loop().call_later(self._max_run_s, worker.cancel)
        settled = False
        try:
            worker.submit(scenario)
            while not settled:
                message = await worker.messages.get()
                settled = isinstance(message, Outcome | Stopped | Failed | Died)
                match message:
                    case Died():
                        raise BackendUnavailable("simulation worker")
                    case Stopped():
                        raise DeadlineExceeded
                    case Failed(reason):
                        raise RuntimeError(f"the integrator failed: {reason}")
                    case Ready():
                        pass
                    case _:
                        yield message
        finally:
            timeout.cancel()
            if not settled:
                worker.cancel()
            self._keep(self._give_back(worker, settled=settled))

    async def _take(self) -> _Worker:
        if self._idle.empty() and self._waiting >= self._max_waiting:
            raise Overloaded(self._retry_after_s)
        self._waiting += 1
        try:
            while (worker := await self._idle.get()).dead:
                self._keep(self._replace(worker))
        finally:
            self._waiting -= 1
        return worker

    async def _give_back(self, worker: _Worker, *, settled: bool) -> None:
        if not settled:
            await worker.settle()
        if worker.dead:
            await self._replace(worker)
        else:
            self._idle.put_nowait(worker)

    async def _replace(self, worker: _Worker) -> None:
        log.error("a simulation worker died; starting another", pid=worker.pid)
        self._workers.discard(worker)
        await worker.close()
        await self._start(after_s=0.0)

    async def _start(self, *, after_s: float) -> None:
        """Start one process and put it to the idle ones; again and again until one comes up."""
        await asyncio.sleep(after_s)
        worker = _Worker(self._context, self._asteroid_kernel)
        try:
            came_up = isinstance(await worker.messages.get(), Ready)
        except asyncio.CancelledError:
            await worker.close()
            raise
        if came_up:
            self._workers.add(worker)
            self._idle.put_nowait(worker)
            return
        log.error("a simulation worker did not come up", pid=worker.pid)
        await worker.close()
        await self._start(after_s=_RESTART_AFTER_S)

    def _keep(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
