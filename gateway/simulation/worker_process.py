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
from typing import Final, TypeAlias

from gateway.simulation.sliced_job import SliceEnd
from gateway.simulation.worker import Drop, Order, Ready, Update, work

_STOP_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Died:
    """The process is gone."""


Message: TypeAlias = Ready | Update | SliceEnd | Died


class WorkerProcess:
    """One process, with a thread that carries its messages into the loop."""

    def __init__(self, context: SpawnContext, asteroid_kernel: Path | None, slice_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection, theirs = context.Pipe()
        self._cancel = RawValue(c_bool, False)
        self._process = context.Process(target=work, args=(theirs, self._cancel, asteroid_kernel, slice_s), daemon=True)
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

    def run(self, order: Order) -> None:
        """Have a job begun or resumed; its messages follow. A dead process says so in its messages."""
        self._cancel.value = False
        self._send(order)

    def drop(self, order: Drop) -> None:
        """Have a halted job ended, after the slice that may be running; no message follows."""
        self._send(order)

    def cancel(self) -> None:
        """Stop the job that is running when it next asks."""
        self._cancel.value = True

    async def settle(self) -> SliceEnd | Died:
        """Take messages until the slice of the cancelled job ends; a process that does not answer is killed."""
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                return await self._end()
        except TimeoutError:
            self._process.kill()
            return await self._end()

    async def close(self) -> None:
        """End the process, with force if it takes too long, and free what it held."""
        self._send(None)
        self.cancel()
        await asyncio.to_thread(self._process.join, _STOP_WITHIN_S)
        if self._process.is_alive():
            self._process.kill()
        await asyncio.to_thread(self._reader.join)
        await asyncio.to_thread(self._process.join)
        self._process.close()
        self._connection.close()

    async def _end(self) -> SliceEnd | Died:
        while not isinstance(message := await self.messages.get(), SliceEnd | Died):
            pass
        return message

    def _send(self, order: Order | None) -> None:
        with contextlib.suppress(OSError):
            self._connection.send(order)

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
