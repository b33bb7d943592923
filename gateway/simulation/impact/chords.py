# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clones can come near which bodies in a step, from the straight lines between the step's ends.

A path whose acceleration is at most A stays within A dt^2 / 8 of its chord, and so does the path relative to a body
within that and the body's own deviation from its chord.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.nbody import SwarmStep
from gateway.simulation.whereabouts import ERROR_AU, rough_positions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_SAMPLES: Final = 9
# The next step may be this many times as long as the last.
_LONGER: Final = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Chords:
    """Straight lines of N clones relative to B bodies, in the order of `Body`, over one step.

    Attributes:
        start_au: (N, B, 3) relative positions at the start.
        way_au: (N, B, 3) from there to the end.
        margin_au: (N, B) how far from the lines the paths can be.
    """

    start_au: Floats
    way_au: Floats
    margin_au: Floats

    @classmethod
    def of(cls, step: SwarmStep, after: Floats) -> "Chords":
        """Of a step whose end is (N, 6) `after`."""
        bodies = rough_positions(np.linspace(step.start_d, step.end_d, _SAMPLES))
        way = bodies[-1] - bodies[0]
        along = np.linspace(0.0, 1.0, _SAMPLES)[:, None, None] * way
        bent_au = np.sqrt(((bodies - bodies[0] - along) ** 2).sum(axis=2).max(axis=0))
        bound = np.sqrt(np.einsum("knc,knc->kn", step.accelerations, step.accelerations)).sum(axis=0)
        bend_au = bound * (step.end_d - step.start_d) ** 2 / 8.0
        return cls(
            step.states[:, None, :3] - bodies[0],
            (after - step.states)[:, None, :3] - way,
            bend_au[:, None] + bent_au + ERROR_AU,
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
