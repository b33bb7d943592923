# SPDX-License-Identifier: GPL-3.0-or-later
"""What many clones meet on their way: passages near bodies, and the first surface that each of them hits.

As `gateway.simulation.encounters`, for a swarm: a step is looked into only where the clones' centre comes near a body,
by as much as they are scattered about it; minima and crossings are found on the steps' dense output.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.nbody import Cancelled, Forces, Swarm, SwarmStep
from gateway.simulation.steps import advanced, between, interpolated, spread
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
_CALM_FROM_AU: Final = {Body.SUN: 0.3, Body.JUPITER: 1.0, Body.SATURN: 1.0, Body.URANUS: 1.0, Body.NEPTUNE: 1.0}
_RADII_AU: Final = {body: PROPERTIES[body].mean_radius_km / AU_KM for body in Body}
# Farther away a body is a point that sets no step: at 0.1 au Earth's oblateness is 3e-10 of its pull.
_CALM_AU: Final = np.array([_CALM_FROM_AU.get(body, 0.1) for body in Body])
# Between two samples no speed is greater than this many times the greater of theirs; see `encounters`.
_SPEED_UP: Final = 2.0


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
    ends, flying = states.copy(), np.arange(len(states))
    swarm = Swarm(states, start_d, forces, pushes_au_d2)
    while len(lookout.flying):
        if len(flying) > len(lookout.flying):
            # Whoever hit something is gone: within the body its way would be fiction, and hold up the others.
            swarm = swarm.only(np.flatnonzero(np.isin(flying, lookout.flying)))
            flying = lookout.flying
            continue
        if cancelled():
            raise Cancelled
        if (step := swarm.step(end_d)) is None:
            break
        ends[flying] = swarm.states
        lookout.look(step, ends[flying], flying)
        swarm.be_calm(lookout.calm)
        moved(step.end_d)
    return Flight(ends, lookout.passages, lookout.hit_body, lookout.hit_d)


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
        calm: whether no clone comes near a body in the next step either.
    """

    def __init__(self, clones: int, reach_au: Mapping[Body, float]) -> None:
        self.calm = False
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
    def flying(self) -> Indices:
        """The clones that have not hit anything."""
        return np.flatnonzero(self.hit_body == NOTHING)

    def look(self, step: SwarmStep, after: Floats, clones: Indices) -> None:
        """Within one step of some clones, whose end is (N, 6) `after`."""
        throng = _Throng.of(step, after)
        bodies_au = rough_positions(throng.times)
        near = throng.nearest_au(bodies_au) <= self._limits_au + ERROR_AU
        self.calm = throng.stays_away(bodies_au, np.maximum(self._limits_au, _CALM_AU) + ERROR_AU)
        if not near.any():
            return
        bodies = [body for body, is_near in zip(Body, near, strict=True) if is_near]
        nodes = spread(step.start_d, step.end_d)
        found = [
            _Meeting(time_d, int(clones[row]), body, relative, hit)
            for body, at in ephemeris.states_of_many(bodies, nodes).items()
            if throng.nearest_au((path := _Path(body, nodes, at)).states(throng.times)[:, None, :3])[0]
            <= self._limit_au(body)
            for time_d, row, relative, hit in _meetings(step, after, path, self._limit_au(body))
        ]
        for meeting in sorted(found, key=lambda meeting: (meeting.time_d, meeting.clone)):
            if self.hit_body[meeting.clone] == NOTHING:
                self._note(meeting.clone, meeting.body, meeting.time_d, meeting.relative, hit=meeting.hit)

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


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """A body's way during a step: its (16, 6) states at 16 nodes, interpolated. Reading the kernel takes longer."""

    body: Body
    nodes: Floats
    at: Floats

    @property
    def radius_au(self) -> float:
        return _RADII_AU[self.body]

    def states(self, times: Floats) -> Floats:
        """(M, 6) at instants within the step."""
        return interpolated(self.nodes, self.at, times)


def _meetings(step: SwarmStep, after: Floats, path: _Path, limit_au: float) -> list[tuple[float, int, Floats, bool]]:
    """Minima within a limit and crossings: time, row, (6,) relative state, and whether it is a crossing.

    Args:
        step: of some clones.
        after: (N, 6) at its end.
        path: of the body that they meet.
        limit_au: for minima.
    """
    times = np.linspace(step.start_d, step.end_d, _PARTS_PER_STEP + 1)
    at = path.states(times)
    relative = _states(step, times) - at[:, None]
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


@dataclass(frozen=True, slots=True, eq=False)
class _Throng:
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
    def of(cls, step: SwarmStep, after: Floats) -> "_Throng":
        times = np.linspace(step.start_d, step.end_d, _PARTS_PER_STEP + 1)
        # A product is several times as quick as the mean over an axis in the middle.
        each = np.full(len(after), 1.0 / len(after))
        mean = SwarmStep(step.start_d, step.end_d, (each @ step.states)[None], (each @ step.accelerations)[:, None])
        scatter_au = _widest(step.states, mean.states[0]) + _widest(after, each @ after)
        # A path whose acceleration is at most A stays within A dt^2 / 8 of its chord.
        bend = float(np.linalg.norm(mean.accelerations, axis=2).sum())
        part_d = (step.end_d - step.start_d) / _PARTS_PER_STEP
        return cls(times, _states(mean, times)[:, 0], scatter_au + bend * part_d**2 / 8.0)

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


def _states(step: SwarmStep, times: Floats) -> Floats:
    """(T, N, 6) of all clones at (T,) times within a step."""
    elapsed_d = (times - step.start_d)[:, None, None]
    return advanced(step.states, np.moveaxis(step.accelerations, 0, 1), elapsed_d, step.end_d - step.start_d)


def _relative(step: SwarmStep, path: _Path, rows: Indices, times: Floats) -> Floats:
    """(M, 6) of some clones relative to a body, each at its own time."""
    elapsed_d = (times - step.start_d)[:, None]
    accelerations = np.moveaxis(step.accelerations[:, rows], 0, 1)
    there = advanced(step.states[rows], accelerations, elapsed_d, step.end_d - step.start_d)
    return there - path.states(times)


def _minima(step: SwarmStep, path: _Path, rows: Indices, low: float, high: float) -> Floats:
    """(M,) when some clones turn from approaching to receding between two times."""
    few = SwarmStep(step.start_d, step.end_d, step.states[rows], step.accelerations[:, rows])
    times = spread(low, high)
    relative = _states(few, times) - path.states(times)[:, None]
    rates = np.einsum("tnc,tnc->tn", relative[..., :3], relative[..., 3:])
    return _bisected(
        lambda middle: between(times, rates, middle) < 0.0, np.full(len(rows), low), np.full(len(rows), high)
    )


def _crossings(step: SwarmStep, path: _Path, rows: Indices, above_d: Floats, below_d: Floats) -> Floats:
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
