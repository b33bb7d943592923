# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a worker process: slices of jobs, one at a time, until the pipe closes.

Nothing here knows of gRPC. A process that dies is noticed and replaced by its pool.
"""

import signal
from ctypes import c_bool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from gateway.simulation.ephemeris import span_tdb_jd
from gateway.simulation.jobs import Job
from gateway.simulation.nbody import has_asteroids
from gateway.simulation.sliced_job import Halted, SlicedJob


@dataclass(frozen=True, slots=True)
class Begin:
    """Work on a new job for a slice."""

    number: int
    job: Job[Any, Any]


@dataclass(frozen=True, slots=True)
class Resume:
    """Work on a halted job for a slice."""

    number: int


@dataclass(frozen=True, slots=True)
class Drop:
    """End a halted job; the only order that is not answered."""

    number: int


Order: TypeAlias = Begin | Resume | Drop


@dataclass(frozen=True, slots=True)
class Ready:
    """The kernels are open; orders may come."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a job emitted."""

    update: Any


def work(connection: Connection, cancel: c_bool, asteroid_kernel: Path | None, slice_s: float) -> None:
    """Follow orders until there is a None, or the other end is gone.

    `Begin` and `Resume` are answered by any number of `Update` and then one `SliceEnd`.

    Args:
        connection: orders in, messages out.
        cancel: shared; stops the job that is running when it next asks.
        asteroid_kernel: opened beforehand.
        slice_s: processor time that a job has before it is halted.

    Raises:
        FileNotFoundError: the asteroid kernel is not there.
    """
    # Whoever started us ends us: a Ctrl-C meant for the whole group would break the calls that are to drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    span_tdb_jd(asteroid_kernel)
    has_asteroids(asteroid_kernel)
    halted: dict[int, SlicedJob] = {}
    try:
        connection.send(Ready())
        while (order := connection.recv()) is not None:
            _follow(order, halted, connection, cancel, slice_s)
    except (EOFError, BrokenPipeError):
        return


def _follow(order: Order, halted: dict[int, SlicedJob], connection: Connection, cancel: c_bool, slice_s: float) -> None:
    match order:
        case Drop(number):
            halted.pop(number).drop()
            return
        case Begin(number, job):
            sliced = SlicedJob(job, lambda update: connection.send(Update(update)), lambda: cancel.value)
        case Resume(number):
            sliced = halted.pop(number)
    end = sliced.run(slice_s)
    if isinstance(end, Halted):
        halted[number] = sliced
    connection.send(end)
