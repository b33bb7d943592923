# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a worker process: one job after the other, until the pipe closes.

Nothing here knows of gRPC. An unforeseen error ends the process, which its pool notices and heals.
"""

import signal
from ctypes import c_bool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gateway.simulation.ephemeris import span_tdb_jd
from gateway.simulation.jobs import Job
from gateway.simulation.nbody import Cancelled, has_asteroids


@dataclass(frozen=True, slots=True)
class Ready:
    """The kernels are open; jobs may come."""


@dataclass(frozen=True, slots=True)
class Told:
    """An update of the job."""

    update: Any


@dataclass(frozen=True, slots=True)
class Done:
    """What the job came to."""

    result: Any


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was cancelled."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The integrator could not do it."""

    reason: str


def work(connection: Connection, cancel: c_bool, asteroid_kernel: Path | None) -> None:
    """Do jobs until told None or the other end is gone.

    Every job is answered by any number of updates and then one `Done`, `Stopped` or `Failed`.

    Args:
        connection: jobs in, messages out.
        cancel: shared; stops the job when it next asks.
        asteroid_kernel: opened beforehand.

    Raises:
        FileNotFoundError: the asteroid kernel is not there.
    """
    # Whoever started us ends us: a Ctrl-C meant for the whole group would break the calls that are to drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    span_tdb_jd(asteroid_kernel)
    has_asteroids(asteroid_kernel)
    try:
        connection.send(Ready())
        while (job := connection.recv()) is not None:
            _answer(job, connection, cancel)
    except (EOFError, BrokenPipeError):
        return


def _answer(job: Job[Any, Any], connection: Connection, cancel: c_bool) -> None:
    try:
        result = job(lambda update: connection.send(Told(update)), lambda: cancel.value)
    except Cancelled:
        connection.send(Stopped())
    except RuntimeError as error:
        connection.send(Failed(str(error)))
    else:
        connection.send(Done(result))
