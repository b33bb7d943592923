# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request for a deflection asks."""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Forces

Floats = NDArray[np.float64]


class Direction(enum.IntEnum):
    """Along what; the numbers are those of the public contract."""

    RADIAL = 1
    TRANSVERSE = 2
    NORMAL = 3
    OPTIMAL = 4


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked.

    Attributes:
        epoch_d: where the object is known, days of TDB since J2000.0.
        state: (6,) there, heliocentric ecliptic, au and au/d.
        forces: what acts on it.
        body: whose encounter is moved.
        window_d: in which the encounter lies.
        reach_au: farther approaches are none.
        lead_times_d: before the encounter; empty for twelve of our choice.
        along: a direction, or (3,) a unit vector in the ecliptic frame.
        push_mm_s: for the curve.
        clearance_km: above the surface, for the smallest push; None where that is not asked for.
        max_push_mm_s: the search's end.
    """

    epoch_d: float
    state: Floats
    forces: Forces
    body: Body
    window_d: tuple[float, float]
    reach_au: float
    lead_times_d: tuple[float, ...]
    along: Direction | Floats
    push_mm_s: float
    clearance_km: float | None
    max_push_mm_s: float
