# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a worker process: one scenario after the other, until the pipe closes.

Nothing here knows of gRPC. An unforeseen error ends the process, which its pool notices and heals.
"""

import signal
from ctypes import c_bool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from gateway.simulation.ephemeris import span_tdb_jd
from gateway.simulation.nbody import Cancelled, has_asteroids
from gateway.simulation.scenario import Scenario
from gateway.simulation.simulate import simulate


@dataclass(frozen=True, slots=True)
class Ready:
    """The kernels are open; scenarios may come."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The scenario was cancelled."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The integrator could not do it."""

    reason: str


def work(connection: Connection, cancel: c_bool, asteroid_kernel: Path | None) -> None:
    """Answer scenarios until told None or the other end is gone.

    Every scenario is answered by any number of updates and then one `Outcome`, `Stopped` or `Failed`.

    Args:
        connection: scenarios in, messages out.
        cancel: shared; stops the scenario at its next step.
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
        while (scenario := connection.recv()) is not None:
            _answer(scenario, connection, cancel)
    except (EOFError, BrokenPipeError):
        return


def _answer(scenario: Scenario, connection: Connection, cancel: c_bool) -> None:
    try:
        outcome = simulate(scenario, connection.send, lambda: cancel.value)
    except Cancelled:
        connection.send(Stopped())
    except RuntimeError as error:
        connection.send(Failed(str(error)))
    else:
        connection.send(outcome)
