# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker process as the asyncio loop sees it."""

import asyncio
import contextlib
import threading
from ctypes import c_bool
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, Final, TypeAlias

from gateway.simulation.jobs import Job
from gateway.simulation.worker import Done, Failed, Ready, Stopped, Told, work

_STOP_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Died:
    """The process is gone."""


Message: TypeAlias = Ready | Told | Done | Stopped | Failed | Died


class WorkerProcess:
    """One process, with a thread that carries its messages into the loop."""

    def __init__(self, context: SpawnContext, asteroid_kernel: Path | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection, theirs = context.Pipe()
        self._cancel = RawValue(c_bool, False)
        self._process = context.Process(target=work, args=(theirs, self._cancel, asteroid_kernel), daemon=True)
        self._process.start()
        theirs.close()
        self._gone = False
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
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

    def submit(self, job: Job[Any, Any] | None) -> None:
        """Hand over a job; None ends the process when it is done. A dead one says so in its messages."""
        self._cancel.value = False
        with contextlib.suppress(OSError):
            self._connection.send(job)

    def cancel(self) -> None:
        """Stop the job when it next asks."""
        self._cancel.value = True

    async def settle(self) -> None:
        """Take messages until the cancelled job has come to its end; a process that does not answer is killed."""
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
        while not isinstance(await self.messages.get(), Done | Stopped | Failed | Died):
            pass

    def _carry(self) -> None:
        message: Message = Ready()
        while not isinstance(message, Died):
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                self._gone = True
                message = Died()
            # A closed loop has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.messages.put_nowait, message)
