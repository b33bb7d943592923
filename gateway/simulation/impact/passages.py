# SPDX-License-Identifier: GPL-3.0-or-later
"""What many clones meet on their way: passages near bodies, and the first surface that each of them hits.

As `gateway.simulation.encounters`, for a swarm: a step is looked into only where a straight line between its ends,
less what the path can sag from it, comes near a body; minima and crossings are found on the steps' dense output.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import AU_KM, DAY_S, GM_SUN_AU3_D2
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.nbody import Cancelled, Forces, Swarm, SwarmStep
from gateway.simulation.steps import advanced, between, spread
from gateway.simulation.target_plane import Hyperbola, hyperbola
from gateway.simulation.whereabouts import ERROR_AU, rough_positions

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

NOTHING: Final = 0
"""In place of a body's number: nothing was hit."""

# Two extrema of the distance lie farther apart than an eighth of a step; see `encounters`.
_PARTS_PER_STEP: Final = 8
# Halvings of a part, a few days long: to a microsecond.
_HALVINGS: Final = 40
_KM_S_PER_AU_D: Final = AU_KM / DAY_S
_RADII_AU: Final = {body: PROPERTIES[body].mean_radius_km / AU_KM for body in Body}
# Around Earth the Moon is bent by 1.4e-4 au/d^2; the Sun's own motion about the barycentre is a millionth of that.
_MOON_BEND_AU_D2: Final = 1.4e-4


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
        states: (N, 6) at the end, barycentric ICRF, au and au/d; fiction for a clone that hit something.
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
    swarm = Swarm(states, start_d, forces, pushes_au_d2)
    lookout = _Lookout(len(states), reach_au)
    lookout.start(states, start_d)
    while True:
        if cancelled():
            raise Cancelled
        if (step := swarm.step(end_d)) is None:
            break
        lookout.look(step, swarm.states)
        moved(step.end_d)
        if lookout.hit_body.all():
            break
    return Flight(swarm.states, lookout.passages, lookout.hit_body, lookout.hit_d)


class _Lookout:
    """Looks into every step."""

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

    def look(self, step: SwarmStep, after: Floats) -> None:
        """Within one step, whose end is (N, 6) `after`."""
        near = _near(step, after, self._limits_au) & (self.hit_body == NOTHING)[:, None]
        found = [
            meeting
            for index, body in enumerate(Body)
            if near[:, index].any()
            for meeting in self._meetings(step, after, body, np.flatnonzero(near[:, index]))
        ]
        for time_d, clone, body, relative, hit in sorted(found, key=lambda meeting: meeting[:2]):
            if self.hit_body[clone] == NOTHING:
                self._note(clone, body, time_d, relative, hit=hit)

    def _meetings(
        self, step: SwarmStep, after: Floats, body: Body, clones: Indices
    ) -> list[tuple[float, int, Body, Floats, bool]]:
        """Minima and crossings: time, clone, body, (6,) relative state, and whether it is a crossing."""
        few = SwarmStep(step.start_d, step.end_d, step.states[clones], step.accelerations[:, clones])
        times = np.linspace(step.start_d, step.end_d, _PARTS_PER_STEP + 1)
        relative = _states(few, times) - ephemeris.states(body, times)[:, None]
        relative[-1] = after[clones] - ephemeris.states(body, times[-1:])
        distance_au = np.linalg.norm(relative[..., :3], axis=2)
        receding = np.einsum("tnc,tnc->tn", relative[..., :3], relative[..., 3:])
        turns = (receding[:-1] < 0.0) & (receding[1:] >= 0.0)
        limit_au = self._limits_au[list(Body).index(body)]
        # Where each clone is first seen within the surface; `inf` where it never is.
        below_d = np.where(distance_au < _RADII_AU[body], times[:, None], np.inf).min(axis=0)
        found: list[tuple[float, int, Body, Floats, bool]] = []
        for part in np.flatnonzero(turns.any(axis=1)):
            rows = np.flatnonzero(turns[part])
            minima_d = _minima(few, body, rows, float(times[part]), float(times[part + 1]))
            met = _relative(few, body, rows, minima_d)
            away_au = np.linalg.norm(met[:, :3], axis=1)
            below_d[rows] = np.where(away_au < _RADII_AU[body], np.minimum(below_d[rows], minima_d), below_d[rows])
            for row, time_d, state, au in zip(rows, minima_d, met, away_au, strict=True):
                if _RADII_AU[body] <= au <= limit_au:
                    found.append((float(time_d), int(clones[row]), body, state, False))
        rows = np.flatnonzero(np.isfinite(below_d))
        if len(rows):
            above_d = np.array([times[times < max(below, times[0] + 1e-12)].max() for below in below_d[rows]])
            crossed_d = _crossings(few, body, rows, above_d, below_d[rows])
            met = _relative(few, body, rows, crossed_d)
            found += [
                (float(time_d), int(clones[row]), body, state, True)
                for row, time_d, state in zip(rows, crossed_d, met, strict=True)
            ]
        return found

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


def _near(step: SwarmStep, after: Floats, limits_au: Floats) -> NDArray[np.bool_]:
    """(N, 10) which clones can come within the limits of which bodies."""
    bodies = rough_positions(np.array([step.start_d, step.end_d]))
    before = step.states[:, None, :3] - bodies[0]
    way = after[:, None, :3] - bodies[1] - before
    length = np.einsum("nbc,nbc->nb", way, way)
    along = -np.einsum("nbc,nbc->nb", before, way) / np.maximum(length, 1e-300)
    nearest_au = np.linalg.norm(before + np.clip(along, 0.0, 1.0)[..., None] * way, axis=2)
    # A path whose acceleration is at most A stays within A dt^2 / 8 of its chord.
    bend = np.linalg.norm(step.accelerations, axis=2).sum(axis=0)[:, None] + _bends(bodies)
    sag_au = bend * (step.end_d - step.start_d) ** 2 / 8.0
    near: NDArray[np.bool_] = nearest_au - sag_au <= limits_au + ERROR_AU
    return near


def _bends(bodies: Floats) -> Floats:
    """(10,) the greatest acceleration of each body, au/d^2; of bodies at (2, 10, 3)."""
    away_au = np.linalg.norm(bodies, axis=2).min(axis=0)
    bends: Floats = GM_SUN_AU3_D2 / np.maximum(away_au, 0.25) ** 2 + _MOON_BEND_AU_D2
    bends[list(Body).index(Body.SUN)] = _MOON_BEND_AU_D2
    return bends


def _states(step: SwarmStep, times: Floats) -> Floats:
    """(T, N, 6) of all clones at (T,) times within a step."""
    elapsed_d = (times - step.start_d)[:, None, None]
    return advanced(step.states, np.moveaxis(step.accelerations, 0, 1), elapsed_d, step.end_d - step.start_d)


def _relative(step: SwarmStep, body: Body, rows: Indices, times: Floats) -> Floats:
    """(M, 6) of some clones relative to a body, each at its own time."""
    elapsed_d = (times - step.start_d)[:, None]
    accelerations = np.moveaxis(step.accelerations[:, rows], 0, 1)
    there = advanced(step.states[rows], accelerations, elapsed_d, step.end_d - step.start_d)
    return there - ephemeris.states(body, times)


def _minima(step: SwarmStep, body: Body, rows: Indices, low: float, high: float) -> Floats:
    """(M,) when some clones turn from approaching to receding between two times."""
    few = SwarmStep(step.start_d, step.end_d, step.states[rows], step.accelerations[:, rows])
    times = spread(low, high)
    relative = _states(few, times) - ephemeris.states(body, times)[:, None]
    rates = np.einsum("tnc,tnc->tn", relative[..., :3], relative[..., 3:])
    return _bisected(lambda middle: between(times, rates, middle) < 0.0, np.full(len(rows), low), np.full(len(rows), high))


def _crossings(step: SwarmStep, body: Body, rows: Indices, above_d: Floats, below_d: Floats) -> Floats:
    """(M,) when some clones cross a body's surface, between two times for each."""

    def outside(middle: Floats) -> NDArray[np.bool_]:
        away_au = np.linalg.norm(_relative(step, body, rows, middle)[:, :3], axis=1)
        still: NDArray[np.bool_] = away_au > _RADII_AU[body]
        return still

    return _bisected(outside, above_d, below_d)


def _bisected(before: Callable[[Floats], NDArray[np.bool_]], low: Floats, high: Floats) -> Floats:
    """(M,) where something ceases to hold, between two times for each."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        holds = before(middle)
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return high
