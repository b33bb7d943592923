# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a step clones are nearest to a body, or cross its surface, on the step's dense output."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.nbody import SwarmStep
from gateway.simulation.steps import advanced, between, interpolated, spread

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

# Two extrema of the distance lie farther apart than an eighth of a step; see `encounters`.
_PARTS_PER_STEP: Final = 8
# Halvings of a part, a few days long: to a microsecond.
_HALVINGS: Final = 40
# Between two samples no speed is greater than this many times the greater of theirs; see `encounters`.
_SPEED_UP: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A body's way during a step: its (16, 6) states at 16 nodes, interpolated. Reading the kernel takes longer."""

    radius_au: float
    nodes: Floats
    at: Floats

    def states(self, times: Floats) -> Floats:
        """(M, 6) at instants within the step."""
        return interpolated(self.nodes, self.at, times)


def meetings(step: SwarmStep, after: Floats, path: Path, limit_au: float) -> list[tuple[float, int, Floats, bool]]:
    """Minima within a limit and crossings: time, row, (6,) relative state, and whether it is a crossing.

    Args:
        step: of some clones.
        after: (N, 6) at its end.
        path: of the body that they meet.
        limit_au: for minima.
    """
    times = np.linspace(step.start_d, step.end_d, _PARTS_PER_STEP + 1)
    at = path.states(times)
    relative = _states_at(step, times) - at[:, None]
    relative[-1] = after - at[-1]
    distance_au = np.linalg.norm(relative[..., :3], axis=2)
    receding = np.einsum("tnc,tnc->tn", relative[..., :3], relative[..., 3:])
    speed_au_d = np.linalg.norm(relative[..., 3:], axis=2)
    way_au = _SPEED_UP * np.maximum(speed_au_d[:-1], speed_au_d[1:]) * np.diff(times)[:, None]
    turns = (receding[:-1] < 0.0) & (receding[1:] >= 0.0)
    turns &= 0.5 * (distance_au[:-1] + distance_au[1:] - way_au) <= limit_au
    # Where each clone is first seen within the surface; `inf` where it never is.
    below_d = np.where(distance_au < path.radius_au, times[:, None], np.inf).min(axis=0)
    found: list[tuple[float, int, Floats, bool]] = []
    for part in np.flatnonzero(turns.any(axis=1)):
        rows = np.flatnonzero(turns[part])
        minima_d = _minima(step, path, rows, float(times[part]), float(times[part + 1]))
        met = _relative(step, path, rows, minima_d)
        away_au = np.linalg.norm(met[:, :3], axis=1)
        below_d[rows] = np.where(away_au < path.radius_au, np.minimum(below_d[rows], minima_d), below_d[rows])
        for row, time_d, state, au in zip(rows, minima_d, met, away_au, strict=True):
            if path.radius_au <= au <= limit_au:
                found.append((float(time_d), int(row), state, False))
    rows = np.flatnonzero(np.isfinite(below_d))
    if len(rows):
        above_d = np.array([times[times < max(below, times[0] + 1e-12)].max() for below in below_d[rows]])
        crossed_d = _crossings(step, path, rows, above_d, below_d[rows])
        met = _relative(step, path, rows, crossed_d)
        found += [
            (float(time_d), int(row), state, True) for row, time_d, state in zip(rows, crossed_d, met, strict=True)
        ]
    return found


def _states_at(step: SwarmStep, times: Floats) -> Floats:
    """(T, N, 6) of all clones at (T,) times within a step."""
    elapsed_d = (times - step.start_d)[:, None, None]
    return advanced(step.states, np.moveaxis(step.accelerations, 0, 1), elapsed_d, step.end_d - step.start_d)


def _relative(step: SwarmStep, path: Path, rows: Indices, times: Floats) -> Floats:
    """(M, 6) of some clones relative to a body, each at its own time."""
    elapsed_d = (times - step.start_d)[:, None]
    accelerations = np.moveaxis(step.accelerations[:, rows], 0, 1)
    there = advanced(step.states[rows], accelerations, elapsed_d, step.end_d - step.start_d)
    return there - path.states(times)


def _minima(step: SwarmStep, path: Path, rows: Indices, low: float, high: float) -> Floats:
    """(M,) when some clones turn from approaching to receding between two times."""
    few = step.of(rows)
    times = spread(low, high)
    relative = _states_at(few, times) - path.states(times)[:, None]
    rates = np.einsum("tnc,tnc->tn", relative[..., :3], relative[..., 3:])
    return _bisected(
        lambda middle: between(times, rates, middle) < 0.0, np.full(len(rows), low), np.full(len(rows), high)
    )


def _crossings(step: SwarmStep, path: Path, rows: Indices, above_d: Floats, below_d: Floats) -> Floats:
    """(M,) when some clones cross a body's surface, between two times for each."""

    def outside(middle: Floats) -> NDArray[np.bool_]:
        away_au = np.linalg.norm(_relative(step, path, rows, middle)[:, :3], axis=1)
        still: NDArray[np.bool_] = away_au > path.radius_au
        return still

    return _bisected(outside, above_d, below_d)


def _bisected(before: Callable[[Floats], NDArray[np.bool_]], low: Floats, high: Floats) -> Floats:
    """(M,) where something ceases to hold, between two times for each."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        holds = before(middle)
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return high
