# SPDX-License-Identifier: GPL-3.0-or-later
"""What a push does to an encounter: how far it moves it on the target plane, and the smallest one that clears the body.

The object is followed through the whole force model each time; nothing is taken from a linear theory but the first
guess of how hard to push. Velocities are those of the orbital frame: radial, transverse, normal.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.frames import ecliptic_to_icrf
from gateway.neo.units import AU_KM, DAY_S, J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.branch import Follower, barycentric, heliocentric, orbital_axes
from gateway.simulation.clones import Watch, carry
from gateway.simulation.differences import MAX_APART_D
from gateway.simulation.encounters import Approach
from gateway.simulation.jobs import Cancel, Emit
from gateway.simulation.nbody import Forces, Integrator
from gateway.simulation.scenario import Branch, ProgressReport, Scenario

Floats = NDArray[np.float64]

CLEARED_TO_KM: Final = 1.0
"""A smallest push clears by what was asked for and at most so much more."""

OUR_LEAD_TIMES: Final = 12
"""How many there are where none are asked for."""

# How far beyond the encounter the pushed object is followed.
_AFTER_D: Final = 10.0
_AU_D_PER_MM_S: Final = 1e-6 * DAY_S / AU_KM
_STEPS_AT_ONCE: Final = 64
# Pushes tried at once, evenly up to a multiple of the linear guess, then by equal factors up to the largest allowed.
_SCANNED: Final = 32
_BEYOND_GUESS: Final = 2.0
_MAX_ITERATIONS: Final = 60


class Direction(enum.IntEnum):
    """Along what; the numbers are those of the public contract."""

    RADIAL = 1
    TRANSVERSE = 2
    NORMAL = 3
    OPTIMAL = 4


class Search(enum.IntEnum):
    """How a search for the smallest push ended; the numbers are those of the public contract."""

    CONVERGED = 1
    NOT_NEEDED = 2
    NOT_BRACKETED = 3
    DISCONTINUOUS = 4


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


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where the object is when it is pushed: (6,) barycentric ICRF, au and au/d."""

    lead_time_d: float
    time_d: float
    state: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """The encounter of the object as it is, and where it can be pushed before; None where there is no encounter."""

    approach: Approach | None
    starts: tuple[Start, ...]


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


@dataclass(frozen=True, slots=True, eq=False)
class LeastPush:
    """The smallest push that clears.

    Attributes:
        start: where.
        search: how it ended.
        delta_v_mm_s: (3,) radial, transverse, normal; zeros where none was needed or found.
        push_mm_s: its length; None where none was found.
        clearance_km: above the surface with it.
        insufficient_mm_s: the greatest push found that does not clear.
        scanned: pushes tried at once.
        iterations: and one by one.
        monotonic: whether the distance grew with each push scanned.
    """

    start: Start
    search: Search
    delta_v_mm_s: Floats
    push_mm_s: float | None
    clearance_km: float | None
    insufficient_mm_s: float | None
    scanned: int
    iterations: int
    monotonic: bool


def meet(question: Question, emit: Emit[ProgressReport], cancelled: Cancel) -> Met:
    """Follow the object to its encounter, and find it where it is to be pushed.

    Lead times that reach back beyond the epoch are left out: the caller sees by their absence.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    start = barycentric(question.state, question.epoch_d)
    first, last = question.window_d
    found = [
        approach
        for approach in _approaches(question, start, question.epoch_d, last, emit, cancelled)
        if approach.body is question.body and first <= approach.time_d <= last
    ]
    if not found:
        return Met(None, ())
    nearest = min(found, key=lambda approach: approach.distance_km)
    most_d = nearest.time_d - question.epoch_d
    ours = np.minimum(np.geomspace(min(10.0, 0.1 * most_d), most_d, OUR_LEAD_TIMES), most_d)
    leads = question.lead_times_d or ours.tolist()
    # The longest of ours is the epoch itself, but for rounding.
    times = sorted({lead: max(nearest.time_d - lead, question.epoch_d) for lead in leads if lead <= most_d}.items())
    starts, state, time_d = [], start, question.epoch_d
    for lead, push_d in reversed(times):
        state, time_d = _carried(question, state, time_d, push_d, cancelled)
        starts.append(Start(lead, push_d, state))
    return Met(nearest, tuple(starts))


def respond(
    question: Question, unpushed: Approach, start: Start, emit: Emit[Response], cancelled: Cancel
) -> LeastPush | None:
    """Push the object at one lead time: what that does is emitted, the smallest push that clears is returned.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    pushes = _Pushes(question, unpushed, start, cancelled)
    direction = pushes.direction()
    response = pushes.response(direction, question.push_mm_s)
    emit(response)
    if question.clearance_km is None:
        return None
    return pushes.least(direction, response, question.clearance_km)


class _Pushes:
    """All that is tried at one lead time."""

    def __init__(self, question: Question, unpushed: Approach, start: Start, cancelled: Cancel) -> None:
        self._question = question
        self._unpushed = unpushed
        self._start = start
        self._cancelled = cancelled
        sun = ephemeris.states(Body.SUN, np.array([start.time_d]))[0]
        # Rows: radial, transverse and normal in ICRF axes.
        self._axes = orbital_axes(start.state - sun)
        self._last_d = min(
            unpushed.time_d + _AFTER_D, ephemeris.span_tdb_jd(question.forces.asteroid_kernel)[1] - J2000_TDB_JD - 0.5
        )

    def direction(self) -> Floats:
        """(3,) unit vector in the orbital frame."""
        along = self._question.along
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
        where = [_on_plane(approach) for approach in (self._unpushed, there, back)]
        distance_km = there.distance_km if there else None
        middle, plus, minus = where
        if middle is None or plus is None or minus is None:
            return Response(self._start, direction, push_mm_s, None, None, distance_km)
        half = 0.5 * (plus - minus)
        bent_km = float(np.linalg.norm(0.5 * (plus + minus) - middle))
        moved_km = float(np.linalg.norm(half))
        nonlinearity = bent_km / moved_km if moved_km > 0.0 else None
        return Response(self._start, direction, push_mm_s, half / push_mm_s, nonlinearity, distance_km)

    def least(self, direction: Floats, response: Response, clearance_km: float) -> LeastPush:
        """The smallest push along a direction, either way along it, that clears."""
        radius_km = PROPERTIES[self._question.body].mean_radius_km
        unpushed_km = self._closest_km(self._unpushed) - radius_km
        if unpushed_km >= clearance_km:
            return LeastPush(self._start, Search.NOT_NEEDED, np.zeros(3), 0.0, unpushed_km, None, 0, 0, monotonic=True)
        guess_mm_s = self._guess_mm_s(response, radius_km + clearance_km)
        if guess_mm_s < 0.0 and not isinstance(self._question.along, np.ndarray):
            # A spacecraft comes from where it comes; a push may as well be given backwards.
            direction = -direction
        bracket, scanned, monotonic = self._scan(direction, abs(guess_mm_s), radius_km + clearance_km)
        if bracket is None:
            most_mm_s = self._question.max_push_mm_s
            return LeastPush(
                self._start, Search.NOT_BRACKETED, np.zeros(3), None, None, most_mm_s, scanned, 0, monotonic=monotonic
            )
        low, high, above_km, iterations = self._close_in(direction, bracket, radius_km + clearance_km)
        search = Search.CONVERGED if above_km <= CLEARED_TO_KM else Search.DISCONTINUOUS
        return LeastPush(
            start=self._start,
            search=search,
            delta_v_mm_s=direction * high,
            push_mm_s=high,
            clearance_km=clearance_km + above_km,
            insufficient_mm_s=low,
            scanned=scanned,
            iterations=iterations,
            monotonic=monotonic,
        )

    def _optimal(self) -> Floats:
        """The direction of the greatest singular value of the shifts, turned so that it leads away from the body."""
        push_mm_s = self._question.push_mm_s
        shifts = [self.response(axis, push_mm_s).shift_km_per_mm_s for axis in np.eye(3)]
        known = np.array([np.zeros(2) if shift is None else shift for shift in shifts]).T
        left, _, right = np.linalg.svd(known)
        middle = _on_plane(self._unpushed)
        away = 1.0 if middle is None or middle @ left[:, 0] >= 0.0 else -1.0
        unit: Floats = away * right[0]
        return unit

    def _guess_mm_s(self, response: Response, needed_km: float) -> float:
        """The push of least size that a linear response has clear the body: negative backwards, infinite if none does.

        A pericentre r asks for an impact parameter r sqrt(1 + 2 GM / (r v_inf^2)) (Opik 1976).
        """
        middle = _on_plane(self._unpushed)
        hyperbola = self._unpushed.hyperbola
        shift = response.shift_km_per_mm_s
        if middle is None or hyperbola is None or shift is None or not shift.any():
            return float(np.inf)
        focus = 2.0 * PROPERTIES[self._question.body].gm_km3_s2 / (needed_km * hyperbola.v_infinity_km_s**2)
        needed_b_km = needed_km * np.sqrt(1.0 + focus)
        squared, half = float(shift @ shift), float(middle @ shift)
        root = np.sqrt(max(half**2 + squared * (needed_b_km**2 - float(middle @ middle)), 0.0))
        return float(min(((root - half) / squared, (-root - half) / squared), key=abs))

    def _scan(
        self, direction: Floats, guess_mm_s: float, needed_km: float
    ) -> tuple[tuple[float, float] | None, int, bool]:
        """Two neighbouring pushes of which the second clears, how many were tried, and whether farther was always more.

        Pushed objects are carried in one simulation, where a body's surface stops nobody.
        """
        most_mm_s = self._question.max_push_mm_s
        up_to = min(most_mm_s, _BEYOND_GUESS * guess_mm_s)
        ladders = [np.linspace(0.0, up_to, _SCANNED + 1)[1:]]
        if up_to < most_mm_s:
            ladders.append(np.geomspace(up_to, most_mm_s, _SCANNED + 1)[1:])
        scanned, before_mm_s, monotonic, last_km = 0, 0.0, True, -np.inf
        for ladder in ladders:
            distances_km = self._carried_past(direction, ladder)
            scanned += len(ladder)
            monotonic &= bool((np.diff(np.concatenate(([last_km], distances_km))) >= 0.0).all())
            clear = np.flatnonzero(distances_km >= needed_km)
            if len(clear):
                first = int(clear[0])
                return (float(ladder[first - 1]) if first else before_mm_s, float(ladder[first])), scanned, monotonic
            before_mm_s, last_km = float(ladder[-1]), float(distances_km[-1])
        return None, scanned, monotonic

    def _carried_past(self, direction: Floats, pushes_mm_s: Floats) -> Floats:
        """(N,) least distances of the centres."""
        states = np.tile(self._start.state, (len(pushes_mm_s), 1))
        states[:, 3:] += np.outer(pushes_mm_s, direction @ self._axes) * _AU_D_PER_MM_S
        first_d = max(self._start.time_d, self._unpushed.time_d - MAX_APART_D)
        watch = Watch(self._question.body, first_d, self._last_d)
        gone = carry(
            states,
            self._start.time_d,
            self._last_d,
            forces=self._question.forces,
            watch=watch,
            cancelled=self._cancelled,
        )
        return gone.closest.distance_km if gone.closest else np.full(len(states), np.inf)

    def _close_in(
        self, direction: Floats, bracket: tuple[float, float], needed_km: float
    ) -> tuple[float, float, float, int]:
        """The two pushes on either side of clearing, by how much the second does, and how many were tried.

        Regula falsi with the Illinois rule (Dowell & Jarratt 1971), halving every fourth time; it aims half a
        tolerance above, so that what is found clears.
        """

        def above_km(push_mm_s: float) -> float:
            return self._miss_km(direction * push_mm_s) - needed_km

        low, high = bracket
        aim_km = 0.5 * CLEARED_TO_KM
        at_low, at_high = above_km(low) - aim_km, above_km(high) - aim_km
        tried = 2
        # The scan and this way of following differ by metres: the bracket may have to grow by as much.
        while at_high < -aim_km and tried < _MAX_ITERATIONS:
            low, at_low = high, at_high
            high *= 1.01
            at_high = above_km(high) - aim_km
            tried += 1
        weight_low, weight_high = at_low, at_high
        while tried < _MAX_ITERATIONS and not -aim_km <= at_high <= aim_km and high - low > 1e-12 * high:
            halves = tried % 4 == 0 or not np.isfinite(weight_high - weight_low) or weight_high == weight_low
            middle = 0.5 * (low + high) if halves else high - weight_high * (high - low) / (weight_high - weight_low)
            middle = min(max(middle, low), high)
            at_middle = above_km(middle) - aim_km
            tried += 1
            if at_middle >= -aim_km:
                high, at_high, weight_high = middle, at_middle, at_middle
                weight_low *= 0.5
            else:
                low, at_low, weight_low = middle, at_middle, at_middle
                weight_high *= 0.5
        return low, high, at_high + aim_km, tried

    def _miss_km(self, delta_v_mm_s: Floats) -> float:
        """Least distance of the centres; nothing is left of an object that hits something before."""
        found = self._after(delta_v_mm_s)
        met = _counterpart(found, self._unpushed)
        if met is not None:
            return self._closest_km(met)
        hit = bool(found) and found[-1].impact is not None
        return 0.0 if hit else self._question.reach_au * AU_KM

    def _met(self, delta_v_mm_s: Floats) -> Approach | None:
        return _counterpart(self._after(delta_v_mm_s), self._unpushed)

    def _after(self, delta_v_mm_s: Floats) -> tuple[Approach, ...]:
        state = self._start.state.copy()
        state[3:] += delta_v_mm_s @ self._axes * _AU_D_PER_MM_S
        return _approaches(self._question, state, self._start.time_d, self._last_d, lambda _: None, self._cancelled)

    def _closest_km(self, approach: Approach) -> float:
        """Of the centres: as it is, or where the body is hit, as the hyperbola of the way in has its pericentre."""
        hyperbola = approach.hyperbola
        if approach.impact is None or hyperbola is None or hyperbola.plane is None:
            return approach.distance_km
        focus_km = PROPERTIES[approach.body].gm_km3_s2 / hyperbola.v_infinity_km_s**2
        return float(np.hypot(focus_km, hyperbola.plane.impact_parameter_km)) - focus_km


def _approaches(
    question: Question,
    state: Floats,
    from_d: float,
    to_d: float,
    emit: Callable[[ProgressReport], None],
    cancelled: Cancel,
) -> tuple[Approach, ...]:
    """Those of the question's body, and an impact on whatever, of a barycentric state."""
    scenario = Scenario(
        epoch_d=from_d,
        baseline_state=heliocentric(state, from_d),
        changed_state=None,
        pushes=(),
        duration_d=to_d - from_d,
        forces=question.forces,
        limits_au={question.body: question.reach_au},
    )
    done_d = 0.0

    def moved(days: float, time_d: float) -> None:
        nonlocal done_d
        done_d += days
        emit(ProgressReport(min(1.0, done_d / (to_d - from_d)), Branch.BASELINE, time_d))

    return Follower(scenario, Branch.BASELINE, lambda _: None, moved, cancelled).follow().approaches


def _carried(question: Question, state: Floats, from_d: float, to_d: float, cancelled: Cancel) -> tuple[Floats, float]:
    integrator = Integrator(state, from_d, question.forces)
    while integrator.advance(to_d, max_steps=_STEPS_AT_ONCE, cancelled=cancelled):
        pass
    return integrator.state, integrator.time_d


def _counterpart(found: tuple[Approach, ...], unpushed: Approach) -> Approach | None:
    """The approach that is the unpushed one moved: with the same body, nearest in time, at most 30 days apart."""
    near = [
        approach
        for approach in found
        if approach.body is unpushed.body and abs(approach.time_d - unpushed.time_d) <= MAX_APART_D
    ]
    return min(near, key=lambda approach: abs(approach.time_d - unpushed.time_d), default=None)


def _on_plane(approach: Approach | None) -> Floats | None:
    """(2,) xi and zeta, km."""
    if approach is None or approach.hyperbola is None or approach.hyperbola.plane is None:
        return None
    return np.array([approach.hyperbola.plane.xi_km, approach.hyperbola.plane.zeta_km])
