# SPDX-License-Identifier: GPL-3.0-or-later
"""What many clones meet on their way: passages near bodies, and the first surface that each of them hits.

As `gateway.simulation.encounters`, for a swarm: a step is looked into only for clones that can come near a body in it
(`chords`); there, minima and crossings are found (`meetings`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.impact.chords import survey
from gateway.simulation.impact.meetings import Path, meetings
from gateway.simulation.impact.step_groups import StepGroups
from gateway.simulation.nbody import Cancelled, Forces, SwarmStep
from gateway.simulation.steps import spread
from gateway.simulation.target_plane import Hyperbola, hyperbola

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

NOTHING: Final = 0
"""In place of a body's number: nothing was hit."""

_KM_S_PER_AU_D: Final = AU_KM / DAY_S
_CALM_FROM_AU: Final = {Body.SUN: 0.3, Body.JUPITER: 1.0, Body.SATURN: 1.0, Body.URANUS: 1.0, Body.NEPTUNE: 1.0}
_RADII_AU: Final = {body: PROPERTIES[body].mean_radius_km / AU_KM for body in Body}
# Farther away a body is a point that sets no step: at 0.1 au Earth's oblateness is 3e-10 of its pull.
_CALM_AU: Final = np.array([_CALM_FROM_AU.get(body, 0.1) for body in Body])


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A clone at its nearest to a body, or where it crosses its surface.

    Attributes:
        clone: its row.
        body: what it meets.
        time_d: of the minimum, or of the crossing; days of TDB since J2000.0.
        distance_km: between the centres, then.
        hyperbola: absent where the clone is bound to the body.
        speed_km_s: relative to the body.
        hit: whether the surface is crossed.
    """

    clone: int
    body: Body
    time_d: float
    distance_km: float
    hyperbola: Hyperbola | None
    speed_km_s: float
    hit: bool


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """How the clones went.

    Attributes:
        states: (N, 6) at the end, barycentric ICRF, au and au/d; within the body for a clone that hit something.
        passages: within reach, in no particular order; hits always.
        hit_body: (N,) the number of the body that was hit first, or `NOTHING`.
        hit_d: (N,) when its surface was crossed, days of TDB since J2000.0.
    """

    states: Floats
    passages: list[Passage]
    hit_body: NDArray[np.int64]
    hit_d: Floats


def follow(
    states: Floats,
    start_d: float,
    end_d: float,
    *,
    forces: Forces,
    pushes_au_d2: Floats | None = None,
    reach_au: Mapping[Body, float],
    moved: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Flight:
    """Carry clones forwards until the end, or until every one of them has hit something.

    Args:
        states: (N, 6) barycentric ICRF at the start, au and au/d.
        start_d: days of TDB since J2000.0.
        end_d: the same, later.
        forces: what acts on them.
        pushes_au_d2: (N, 3) A1, A2, A3 of each clone, in place of those of the forces.
        reach_au: bodies whose passages are noted, and up to which distance. Hits are, on any body.
        moved: told after each step where the clones are.
        cancelled: asked before every step.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    lookout = _Lookout(len(states), reach_au)
    lookout.start(states, start_d)
    groups = StepGroups(states, start_d, forces, pushes_au_d2)
    groups.flying[:] = lookout.flying
    if cancelled():
        raise Cancelled
    for taken in groups.steps(end_d):
        groups.calm[taken.clones] = lookout.look(taken.step, taken.after, taken.clones)
        # A clone that hit a body goes no further: a path inside it means nothing, and its short steps cost the others.
        groups.flying[:] = lookout.flying
        moved(float(groups.times[groups.flying].mean()) if groups.flying.any() else taken.step.end_d)
        if cancelled():
            raise Cancelled
    return Flight(groups.states, lookout.passages, lookout.hit_body, lookout.hit_d)


@dataclass(frozen=True, slots=True, eq=False)
class _Meeting:
    """A minimum of the distance, or a crossing of the surface."""

    time_d: float
    clone: int
    body: Body
    relative: Floats
    hit: bool


class _Lookout:
    """Looks into every step.

    Attributes:
        passages: found so far.
        hit_body: (N,) the number of the body that was hit first, or `NOTHING`.
        hit_d: (N,) when.
    """

    def __init__(self, clones: int, reach_au: Mapping[Body, float]) -> None:
        self.passages: list[Passage] = []
        self.hit_body: NDArray[np.int64] = np.full(clones, NOTHING, np.int64)
        self.hit_d: Floats = np.zeros(clones)
        self._reach_au = reach_au
        self._limits_au = np.array([max(reach_au.get(body, 0.0), _RADII_AU[body]) for body in Body])

    def start(self, states: Floats, time_d: float) -> None:
        """Clones that begin within a body have hit it."""
        for body, at in ephemeris.states_of_many(Body, np.array([time_d])).items():
            inside = np.linalg.norm((states - at[0])[:, :3], axis=1) < _RADII_AU[body]
            for clone in np.flatnonzero(inside):
                self._note(int(clone), body, time_d, states[clone] - at[0], hit=True)

    @property
    def flying(self) -> NDArray[np.bool_]:
        """(N,) the clones that have not hit anything."""
        flags: NDArray[np.bool_] = self.hit_body == NOTHING
        return flags

    def look(self, step: SwarmStep, after: Floats, clones: Indices) -> NDArray[np.bool_]:
        """Within one step of some clones, whose end is (N, 6) `after`.

        Returns:
            (N,) whether each clone stays far from all bodies in the next step too.
        """
        near, far = survey(step, after, self._limits_au, np.maximum(self._limits_au, _CALM_AU))
        bodies = [body for column, body in enumerate(Body) if near[:, column].any()]
        if not bodies:
            return far
        nodes = spread(step.start_d, step.end_d)
        found: list[_Meeting] = []
        for body, at in ephemeris.states_of_many(bodies, nodes).items():
            rows = np.flatnonzero(near[:, list(Body).index(body)])
            path = Path(_RADII_AU[body], nodes, at)
            found += [
                _Meeting(time_d, int(clones[rows[row]]), body, relative, hit)
                for time_d, row, relative, hit in meetings(step.of(rows), after[rows], path, self._limit_au(body))
            ]
        for meeting in sorted(found, key=lambda meeting: (meeting.time_d, meeting.clone)):
            if self.hit_body[meeting.clone] == NOTHING:
                self._note(meeting.clone, meeting.body, meeting.time_d, meeting.relative, hit=meeting.hit)
        return far

    def _limit_au(self, body: Body) -> float:
        return float(self._limits_au[list(Body).index(body)])

    def _note(self, clone: int, body: Body, time_d: float, relative: Floats, *, hit: bool) -> None:
        if hit:
            self.hit_body[clone], self.hit_d[clone] = int(body), time_d
        if not hit and body not in self._reach_au:
            return
        at = ephemeris.states_of_many((body, Body.SUN), np.array([time_d]))
        motion_km_s = (at[body] - at[Body.SUN])[0, 3:] * _KM_S_PER_AU_D
        properties = PROPERTIES[body]
        position_km, velocity_km_s = relative[:3] * AU_KM, relative[3:] * _KM_S_PER_AU_D
        self.passages.append(
            Passage(
                clone=clone,
                body=body,
                time_d=time_d,
                distance_km=float(np.linalg.norm(position_km)),
                hyperbola=hyperbola(
                    position_km, velocity_km_s, motion_km_s, properties.gm_km3_s2, properties.mean_radius_km
                ),
                speed_km_s=float(np.linalg.norm(velocity_km_s)),
                hit=hit,
            )
        )
