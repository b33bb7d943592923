# SPDX-License-Identifier: GPL-3.0-or-later
"""The clones of a step as one: whether any of them can be near a body at all."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.nbody import SwarmStep
from gateway.simulation.steps import advanced

Floats = NDArray[np.float64]

PARTS_PER_STEP: Final = 8
"""Two extrema of the distance lie farther apart than an eighth of a step; see `encounters`."""


@dataclass(frozen=True, slots=True, eq=False)
class Throng:
    """The clones of a step as one.

    Attributes:
        times: (9,) samples, the step's ends included.
        centre: (9, 6) barycentric ICRF of their mean.
        margin_au: how far from the straight lines between the samples any clone can be.
    """

    times: Floats
    centre: Floats
    margin_au: float

    @classmethod
    def of(cls, step: SwarmStep, after: Floats) -> "Throng":
        """Of a step whose end is (N, 6) `after`."""
        times = np.linspace(step.start_d, step.end_d, PARTS_PER_STEP + 1)
        # A product is several times as quick as the mean over an axis in the middle.
        each = np.full(len(after), 1.0 / len(after))
        mean = SwarmStep(step.start_d, step.end_d, (each @ step.states)[None], (each @ step.accelerations)[:, None])
        scatter_au = _widest(step.states, mean.states[0]) + _widest(after, each @ after)
        # A path whose acceleration is at most A stays within A dt^2 / 8 of its chord.
        bend = float(np.linalg.norm(mean.accelerations, axis=2).sum())
        part_d = (step.end_d - step.start_d) / PARTS_PER_STEP
        return cls(times, states_at(mean, times)[:, 0], scatter_au + bend * part_d**2 / 8.0)

    def nearest_au(self, bodies: Floats) -> Floats:
        """(B,) the least that any clone can be away from bodies at (9, B, 3)."""
        away = self.centre[:, None, :3] - bodies
        way = np.diff(away, axis=0)
        length = np.einsum("pbc,pbc->pb", way, way)
        along = np.clip(-np.einsum("pbc,pbc->pb", away[:-1], way) / np.maximum(length, 1e-300), 0.0, 1.0)
        nearest: Floats = np.linalg.norm(away[:-1] + along[..., None] * way, axis=2).min(axis=0)
        return nearest - self.margin_au

    def stays_away(self, bodies: Floats, limit_au: Floats) -> bool:
        """Whether clones stay out of (B,) limits about bodies at (9, B, 3) in the next step, half as long again."""
        away = self.centre[[0, -1], None, :3] - bodies[[0, -1]]
        way_au = np.linalg.norm(away[1] - away[0], axis=1)
        return bool((np.linalg.norm(away[1], axis=1) - self.margin_au - 1.5 * way_au > limit_au).all())


def _widest(states: Floats, middle: Floats) -> float:
    """The greatest distance from the middle."""
    away = states[:, :3] - middle[:3]
    return float(np.sqrt(np.einsum("nc,nc->n", away, away).max()))


def states_at(step: SwarmStep, times: Floats) -> Floats:
    """(T, N, 6) of all clones at (T,) times within a step."""
    elapsed_d = (times - step.start_d)[:, None, None]
    return advanced(step.states, np.moveaxis(step.accelerations, 0, 1), elapsed_d, step.end_d - step.start_d)
