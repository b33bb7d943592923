# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that is worked on in slices of processor time, with others between them.

A job asks before every step of its integration whether it is cancelled. There it is halted once its slice is used up:
it runs on a thread of its own, which then waits. Nothing of an integration is copied, written or begun again, so the
result is the same to the last bit however often a job is halted.
"""

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.simulation.jobs import Job
from gateway.simulation.nbody import Cancelled


@dataclass(frozen=True, slots=True)
class Halted:
    """The slice is used up; the job waits to be resumed."""

    cost_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """The job's result."""

    result: Any
    cost_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was cancelled."""

    cost_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The integrator could not do it, or the job raised what it should not."""

    reason: str
    cost_s: float


SliceEnd: TypeAlias = Halted | Done | Stopped | Failed
"""How a slice ended, and the seconds of processor time it took."""


class SlicedJob:
    """A job and its thread; only `run` lets it go on, and returns when it is halted or over."""

    def __init__(self, job: Job[Any, Any], emit: Callable[[Any], None], cancelled: Callable[[], bool]) -> None:
        """Start nothing yet.

        Args:
            job: the work.
            emit: takes the job's updates.
            cancelled: whether the job that is running is to stop.
        """
        self._job = job
        self._emit = emit
        self._cancelled = cancelled
        self._dropped = False
        self._resumed = threading.Semaphore(0)
        self._ended = threading.Semaphore(0)
        self._end: SliceEnd | None = None
        self._began_s = 0.0
        self._slice_s = 0.0
        # A process that ends does not wait for jobs that are halted.
        self._thread = threading.Thread(target=self._work, name="job", daemon=True)

    def run(self, slice_s: float) -> SliceEnd:
        """Let the job go on until it has used its slice of processor time, or is over.

        Args:
            slice_s: seconds; a single step may take it beyond.
        """
        self._slice_s = slice_s
        if self._thread.ident is None:
            self._thread.start()
        self._resumed.release()
        self._ended.acquire()
        if self._end is None:
            raise RuntimeError("a slice ended without saying how")
        return self._end

    def drop(self) -> None:
        """End a job that is halted."""
        self._dropped = True
        self.run(0.0)
        self._thread.join()

    def _work(self) -> None:
        self._begin_slice()
        end: SliceEnd
        try:
            result = self._job(self._emit, self._must_stop)
        except Cancelled:
            end = Stopped(self._used_s())
        except RuntimeError as error:
            end = Failed(str(error), self._used_s())
        except BaseException as error:  # noqa: BLE001  # the process has halted jobs of others: it must not end for one
            traceback.print_exc()
            end = Failed(repr(error), self._used_s())
        else:
            end = Done(result, self._used_s())
        self._end_slice(end)

    def _must_stop(self) -> bool:
        """What the job asks before every step; halts it here when its slice is used up."""
        if self._used_s() >= self._slice_s and not self._cancelled():
            self._end_slice(Halted(self._used_s()))
            self._begin_slice()
        return self._dropped or self._cancelled()

    def _begin_slice(self) -> None:
        self._resumed.acquire()
        self._began_s = time.thread_time()

    def _end_slice(self, end: SliceEnd) -> None:
        self._end = end
        self._ended.release()

    def _used_s(self) -> float:
        return time.thread_time() - self._began_s
