# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clones can come near which bodies in a step, from straight lines.

A path whose acceleration is at most A stays within A dt^2 / 8 of its chord over a time dt, and the path relative to a
body stays within that and the body's own deviation from its chord. Clones close together are looked at as one first.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.bodies import Body
from gateway.simulation.nbody import SwarmStep
from gateway.simulation.whereabouts import ERROR_AU, rough_positions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Where in a step the bodies are looked up: their paths are nearly parabolas.
_PARTS: Final = np.linspace(0.0, 1.0, 5)
# The next step may be this many times as long as the last.
_LONGER: Final = 1.5
# Clones that are scattered by more than this are looked at one by one at once.
_WIDE_AU: Final = 0.05


def survey(step: SwarmStep, after: Floats, reach_au: Floats, calm_au: Floats) -> tuple[Flags, Flags]:
    """Which clones of a step come near a body in it, and which stay far from all bodies in the next one too.

    Args:
        step: of N clones.
        after: (N, 6) its end.
        reach_au: (B,) distances from the bodies, in the order of `Body`, that are near.
        calm_au: (B,) distances that are far.

    Returns:
        (N, B) near in this step, and (N,) far from all in the next; where in doubt near, and not far.
    """
    bodies = rough_positions(step.start_d + _PARTS * (step.end_d - step.start_d))
    count = len(after)
    # A product is several times as quick as the mean over an axis in the middle.
    each = np.full(count, 1.0 / count)
    middle, end = (each @ step.states)[None], (each @ after)[None]
    scatter_au = max(_widest_au(step.states - middle), _widest_au(after - end))
    if count > 1 and scatter_au < _WIDE_AU:
        mean = SwarmStep(step.start_d, step.end_d, middle, (each @ step.accelerations)[:, None])
        apart = _bend_au(step.accelerations - mean.accelerations, step.end_d - step.start_d)
        chords = _Chords.of(mean, end, bodies, scatter_au + float(apart.max()))
        if chords.stay_away(calm_au).all() and not chords.near(reach_au).any():
            return np.zeros((count, len(Body)), np.bool_), np.ones(count, np.bool_)
    chords = _Chords.of(step, after, bodies)
    return chords.near(reach_au), chords.stay_away(calm_au)


@dataclass(frozen=True, slots=True, eq=False)
class _Chords:
    """Straight lines of N clones relative to B bodies over one step.

    Attributes:
        start_au: (N, B, 3) relative positions at the start.
        way_au: (N, B, 3) from there to the end.
        margin_au: (N, B) how far from the lines the paths can be.
    """

    start_au: Floats
    way_au: Floats
    margin_au: Floats

    @classmethod
    def of(cls, step: SwarmStep, after: Floats, bodies: Floats, scatter_au: float = 0.0) -> "_Chords":
        """Of a step with its end and (5, B, 3) positions of the bodies; each clone stands for all so far from it."""
        way = bodies[-1] - bodies[0]
        along = _PARTS[:, None, None] * way
        bent_au = np.sqrt(((bodies - bodies[0] - along) ** 2).sum(axis=2).max(axis=0))
        bend_au = _bend_au(step.accelerations, step.end_d - step.start_d)
        return cls(
            step.states[:, None, :3] - bodies[0],
            (after - step.states)[:, None, :3] - way,
            bend_au[:, None] + bent_au + ERROR_AU + scatter_au,
        )

    def near(self, limits_au: Floats) -> Flags:
        """(N, B) whether a clone can be within (B,) limits."""
        length = np.einsum("nbc,nbc->nb", self.way_au, self.way_au)
        along = -np.einsum("nbc,nbc->nb", self.start_au, self.way_au) / np.maximum(length, 1e-300)
        nearest = self.start_au + np.clip(along, 0.0, 1.0)[..., None] * self.way_au
        reach = self.margin_au + limits_au
        flags: Flags = np.einsum("nbc,nbc->nb", nearest, nearest) <= reach**2
        return flags

    def stay_away(self, limits_au: Floats) -> Flags:
        """(N,) whether a clone stays out of (B,) limits in the next step, half as long again."""
        end = self.start_au + self.way_au
        reach = self.margin_au + limits_au + _LONGER * np.sqrt(np.einsum("nbc,nbc->nb", self.way_au, self.way_au))
        flags: Flags = (np.einsum("nbc,nbc->nb", end, end) > reach**2).all(axis=1)
        return flags


def _bend_au(accelerations: Floats, step_d: float) -> Floats:
    """(N,) bounds on the distance from the chords, of (8, N, 3) coefficients."""
    bound: Floats = np.sqrt(np.einsum("knc,knc->kn", accelerations, accelerations)).sum(axis=0)
    return bound * step_d**2 / 8.0


def _widest_au(away: Floats) -> float:
    """The greatest length of (N, 6) differences' positions."""
    return float(np.sqrt(np.einsum("nc,nc->n", away[:, :3], away[:, :3]).max()))
