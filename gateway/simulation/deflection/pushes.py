# SPDX-License-Identifier: GPL-3.0-or-later
"""An object pushed at one lead time: where it then meets the body, and how far that is from where it would have."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.frames import ecliptic_to_icrf
from gateway.neo.units import AU_KM, DAY_S, J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.branch import orbital_axes
from gateway.simulation.clones import Watch, carry
from gateway.simulation.deflection.encounter import Start, approaches, counterpart
from gateway.simulation.deflection.question import Direction, Question
from gateway.simulation.differences import MAX_APART_D
from gateway.simulation.encounters import Approach
from gateway.simulation.jobs import Cancel

Floats = NDArray[np.float64]

# How far beyond the encounter the pushed object is followed.
_AFTER_D: Final = 10.0
_AU_D_PER_MM_S: Final = 1e-6 * DAY_S / AU_KM


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What a push does.

    Attributes:
        start: where.
        direction: (3,) unit vector of the push: radial, transverse, normal.
        push_mm_s: how hard.
        shift_km_per_mm_s: (2,) xi and zeta; None where the encounter is lost.
        nonlinearity: how far from proportional.
        distance_km: of the centres, pushed forwards.
    """

    start: Start
    direction: Floats
    push_mm_s: float
    shift_km_per_mm_s: Floats | None
    nonlinearity: float | None
    distance_km: float | None


class Pushes:
    """All that is tried at one lead time."""

    def __init__(self, question: Question, unpushed: Approach, start: Start, cancelled: Cancel) -> None:
        self.question = question
        self.unpushed = unpushed
        self.start = start
        self._cancelled = cancelled
        sun = ephemeris.states(Body.SUN, np.array([start.time_d]))[0]
        # Rows: radial, transverse and normal in ICRF axes.
        self._axes = orbital_axes(start.state - sun)
        self._last_d = min(
            unpushed.time_d + _AFTER_D, ephemeris.span_tdb_jd(question.forces.asteroid_kernel)[1] - J2000_TDB_JD - 0.5
        )

    def direction(self) -> Floats:
        """(3,) unit vector in the orbital frame."""
        along = self.question.along
        if isinstance(along, np.ndarray):
            unit: Floats = self._axes @ ecliptic_to_icrf(along)
            return unit
        if along is not Direction.OPTIMAL:
            axis: Floats = np.eye(3)[along - 1]
            return axis
        return self._optimal()

    def response(self, direction: Floats, push_mm_s: float) -> Response:
        """Pushed forwards and backwards by so much."""
        there = self._met(direction * push_mm_s)
        back = self._met(-direction * push_mm_s)
        where = [on_plane(approach) for approach in (self.unpushed, there, back)]
        distance_km = there.distance_km if there else None
        middle, plus, minus = where
        if middle is None or plus is None or minus is None:
            return Response(self.start, direction, push_mm_s, None, None, distance_km)
        half = 0.5 * (plus - minus)
        bent_km = float(np.linalg.norm(0.5 * (plus + minus) - middle))
        moved_km = float(np.linalg.norm(half))
        nonlinearity = bent_km / moved_km if moved_km > 0.0 else None
        return Response(self.start, direction, push_mm_s, half / push_mm_s, nonlinearity, distance_km)

    def carried_past(self, direction: Floats, pushes_mm_s: Floats) -> Floats:
        """(N,) least distances of the centres."""
        states = np.tile(self.start.state, (len(pushes_mm_s), 1))
        states[:, 3:] += np.outer(pushes_mm_s, direction @ self._axes) * _AU_D_PER_MM_S
        first_d = max(self.start.time_d, self.unpushed.time_d - MAX_APART_D)
        watch = Watch(self.question.body, first_d, self._last_d)
        gone = carry(
            states,
            self.start.time_d,
            self._last_d,
            forces=self.question.forces,
            watch=watch,
            cancelled=self._cancelled,
        )
        return gone.closest.distance_km if gone.closest else np.full(len(states), np.inf)

    def miss_km(self, delta_v_mm_s: Floats) -> float:
        """Least distance of the centres; nothing is left of an object that hits something before."""
        found = self._after(delta_v_mm_s)
        met = counterpart(found, self.unpushed)
        if met is not None:
            return met.distance_km
        hit = bool(found) and found[-1].impact is not None
        return 0.0 if hit else self.question.reach_au * AU_KM

    def _optimal(self) -> Floats:
        """The direction of the greatest singular value of the shifts, turned so that it leads away from the body."""
        push_mm_s = self.question.push_mm_s
        shifts = [self.response(axis, push_mm_s).shift_km_per_mm_s for axis in np.eye(3)]
        known = np.array([np.zeros(2) if shift is None else shift for shift in shifts]).T
        left, _, right = np.linalg.svd(known)
        middle = on_plane(self.unpushed)
        away = 1.0 if middle is None or middle @ left[:, 0] >= 0.0 else -1.0
        unit: Floats = away * right[0]
        return unit

    def _met(self, delta_v_mm_s: Floats) -> Approach | None:
        return counterpart(self._after(delta_v_mm_s), self.unpushed)

    def _after(self, delta_v_mm_s: Floats) -> tuple[Approach, ...]:
        state = self.start.state.copy()
        state[3:] += delta_v_mm_s @ self._axes * _AU_D_PER_MM_S
        return approaches(self.question, state, self.start.time_d, self._last_d, lambda _: None, self._cancelled)


def on_plane(approach: Approach | None) -> Floats | None:
    """(2,) xi and zeta, km."""
    if approach is None or approach.hyperbola is None or approach.hyperbola.plane is None:
        return None
    return np.array([approach.hyperbola.plane.xi_km, approach.hyperbola.plane.zeta_km])
