# SPDX-License-Identifier: GPL-3.0-or-later
"""One lead time: what a push does there, and the smallest push that clears the body.

Nothing is taken from a linear theory but the first guess of how hard to push.
"""

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.bodies import PROPERTIES
from gateway.simulation.deflection.encounter import Start
from gateway.simulation.deflection.pushes import Pushes, Response, on_plane
from gateway.simulation.deflection.question import Question
from gateway.simulation.encounters import Approach
from gateway.simulation.jobs import Cancel, Emit

Floats = NDArray[np.float64]

CLEARED_TO_KM: Final = 1.0
"""A smallest push clears by what was asked for and at most so much more."""

# Pushes tried at once, evenly up to a multiple of the linear guess, then by equal factors up to the largest allowed.
_SCANNED: Final = 32
_BEYOND_GUESS: Final = 2.0
_MAX_ITERATIONS: Final = 60


class Search(enum.IntEnum):
    """How a search for the smallest push ended; the numbers are those of the public contract."""

    CONVERGED = 1
    NOT_NEEDED = 2
    NOT_BRACKETED = 3
    DISCONTINUOUS = 4


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


def respond(
    question: Question, unpushed: Approach, start: Start, emit: Emit[Response], cancelled: Cancel
) -> LeastPush | None:
    """Push the object at one lead time: what that does is emitted, the smallest push that clears is returned.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    pushes = Pushes(question, unpushed, start, cancelled)
    direction = pushes.direction()
    response = pushes.response(direction, question.push_mm_s)
    emit(response)
    if question.clearance_km is None:
        return None
    return _least(pushes, direction, response, question.clearance_km)


def _least(pushes: Pushes, direction: Floats, response: Response, clearance_km: float) -> LeastPush:
    """The smallest push along a direction, either way along it, that clears."""
    radius_km = PROPERTIES[pushes.question.body].mean_radius_km
    unpushed_km = pushes.unpushed.distance_km - radius_km
    if unpushed_km >= clearance_km:
        return LeastPush(pushes.start, Search.NOT_NEEDED, np.zeros(3), 0.0, unpushed_km, None, 0, 0, monotonic=True)
    guess_mm_s = _guess_mm_s(pushes, response, radius_km + clearance_km)
    if guess_mm_s < 0.0 and not isinstance(pushes.question.along, np.ndarray):
        # A spacecraft comes from where it comes; a push may as well be given backwards.
        direction = -direction
    bracket, scanned, monotonic = _scan(pushes, direction, abs(guess_mm_s), radius_km + clearance_km)
    if bracket is None:
        most_mm_s = pushes.question.max_push_mm_s
        return LeastPush(
            pushes.start, Search.NOT_BRACKETED, np.zeros(3), None, None, most_mm_s, scanned, 0, monotonic=monotonic
        )
    low, high, above_km, iterations = _close_in(pushes, direction, bracket, radius_km + clearance_km)
    search = Search.CONVERGED if above_km <= CLEARED_TO_KM else Search.DISCONTINUOUS
    return LeastPush(
        start=pushes.start,
        search=search,
        delta_v_mm_s=direction * high,
        push_mm_s=high,
        clearance_km=clearance_km + above_km,
        insufficient_mm_s=low,
        scanned=scanned,
        iterations=iterations,
        monotonic=monotonic,
    )


def _guess_mm_s(pushes: Pushes, response: Response, needed_km: float) -> float:
    """The push of least size that a linear response has clear the body: negative backwards, infinite if none does.

    A pericentre r asks for an impact parameter r sqrt(1 + 2 GM / (r v_inf^2)) (Opik 1976).
    """
    middle = on_plane(pushes.unpushed)
    hyperbola = pushes.unpushed.hyperbola
    shift = response.shift_km_per_mm_s
    if middle is None or hyperbola is None or shift is None or not shift.any():
        return float(np.inf)
    focus = 2.0 * PROPERTIES[pushes.question.body].gm_km3_s2 / (needed_km * hyperbola.v_infinity_km_s**2)
    needed_b_km = needed_km * np.sqrt(1.0 + focus)
    squared, half = float(shift @ shift), float(middle @ shift)
    root = np.sqrt(max(half**2 + squared * (needed_b_km**2 - float(middle @ middle)), 0.0))
    return float(min(((root - half) / squared, (-root - half) / squared), key=abs))


def _scan(
    pushes: Pushes, direction: Floats, guess_mm_s: float, needed_km: float
) -> tuple[tuple[float, float] | None, int, bool]:
    """Two neighbouring pushes of which the second clears, how many were tried, and whether farther was always more.

    Pushed objects are carried in one simulation, where a body's surface stops nobody.
    """
    most_mm_s = pushes.question.max_push_mm_s
    up_to = min(most_mm_s, _BEYOND_GUESS * guess_mm_s)
    ladders = [np.linspace(0.0, up_to, _SCANNED + 1)[1:]]
    if up_to < most_mm_s:
        ladders.append(np.geomspace(up_to, most_mm_s, _SCANNED + 1)[1:])
    scanned, before_mm_s, monotonic, last_km = 0, 0.0, True, -np.inf
    for ladder in ladders:
        distances_km = pushes.carried_past(direction, ladder)
        scanned += len(ladder)
        monotonic &= bool((np.diff(np.concatenate(([last_km], distances_km))) >= 0.0).all())
        clear = np.flatnonzero(distances_km >= needed_km)
        if len(clear):
            first = int(clear[0])
            return (float(ladder[first - 1]) if first else before_mm_s, float(ladder[first])), scanned, monotonic
        before_mm_s, last_km = float(ladder[-1]), float(distances_km[-1])
    return None, scanned, monotonic


def _close_in(
    pushes: Pushes, direction: Floats, bracket: tuple[float, float], needed_km: float
) -> tuple[float, float, float, int]:
    """The two pushes on either side of clearing, by how much the second does, and how many were tried.

    Regula falsi with the Illinois rule (Dowell & Jarratt 1971), halving every fourth time; it aims half a
    tolerance above, so that what is found clears.
    """

    def above_km(push_mm_s: float) -> float:
        return pushes.miss_km(direction * push_mm_s) - needed_km

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
