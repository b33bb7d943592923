# SPDX-License-Identifier: GPL-3.0-or-later
"""Close approaches and impacts within integrated steps.

Every step is cut into parts; where the radial velocity relative to a body turns from approaching to receding lies a
local minimum of the distance, found to 0.1 ms on the steps' dense output. The ends of the parts that are knots are the
integrator's own states, so a minimum is neither lost nor found twice at a joint. Bodies are looked up exactly only
where their rough positions let the object come near them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.steps import Steps, between, spread
from gateway.simulation.target_plane import Hyperbola, hyperbola
from gateway.simulation.two_body import TwoBody
from gateway.simulation.whereabouts import ERROR_AU, rough_positions

Floats = NDArray[np.float64]

# IAS15 takes steps of up to 20 days; two extrema of the distance, even to the Moon, lie farther apart than an eighth.
_PARTS_PER_STEP: Final = 8
# Between two samples no speed is greater than this many times the greater of theirs, gravity's pull included.
_SPEED_UP: Final = 2.0
# No body is faster than Mercury at perihelion: 59 km/s.
_GREATEST_BODY_SPEED_AU_D: Final = 0.0345
_TIME_TOLERANCE_D: Final = 1e-9
_MAX_ITERATIONS: Final = 100
_KM_S_PER_AU_D: Final = AU_KM / DAY_S


@dataclass(frozen=True, slots=True)
class Impact:
    """A hit.

    Attributes:
        time_d: when the surface (mean radius) is crossed, days of TDB since J2000.0.
        relative_velocity_km_s: there.
    """

    time_d: float
    relative_velocity_km_s: float


@dataclass(frozen=True, slots=True)
class Approach:
    """A local minimum of the distance between two centres.

    Where it lies below the surface, it is that of two-body motion from the surface on: nothing is integrated there.

    Attributes:
        body: what was approached.
        time_d: days of TDB since J2000.0.
        distance_km: between the centres.
        relative_velocity_km_s: there; None where two-body motion would be faster than light, metres from the centre.
        hyperbola: absent where the object is bound to the body.
        impact: set where the surface is crossed before.
    """

    body: Body
    time_d: float
    distance_km: float
    relative_velocity_km_s: float | None
    hyperbola: Hyperbola | None
    impact: Impact | None

    @property
    def distance_au(self) -> float:
        """The same in au."""
        return self.distance_km / AU_KM


@dataclass(frozen=True, slots=True)
class _Track:
    """Samples of the object relative to one body; `sample` numbers them, for there are gaps."""

    body: Body
    sample: NDArray[np.intp]
    time_d: Floats
    relative: Floats
    direction: float

    @property
    def receding(self) -> Floats:
        """(N,) half the rate of the squared distance along the integration: negative while it approaches."""
        rate: Floats = np.einsum("ij,ij->i", self.relative[:, :3], self.relative[:, 3:])
        return self.direction * rate

    @property
    def distance_au(self) -> Floats:
        """(N,) distances of the centres."""
        distance: Floats = np.linalg.norm(self.relative[:, :3], axis=1)
        return distance

    @property
    def speed_au_d(self) -> Floats:
        """(N,) relative speeds."""
        speed: Floats = np.linalg.norm(self.relative[:, 3:], axis=1)
        return speed


def search(steps: Steps, limits_au: Mapping[Body, float]) -> list[Approach]:
    """Every approach within some steps, in the order of the integration, up to the first impact.

    Args:
        steps: where to look.
        limits_au: bodies of which approaches are reported, and up to which distance. Impacts always are, on any body.
    """
    times, states = steps.sampled(_PARTS_PER_STEP)
    near = _near(times, states, limits_au)
    sample = np.flatnonzero(near.any(axis=1))
    approaches: list[Approach] = []
    bodies = [body for index, body in enumerate(Body) if near[:, index].any()]
    for body, body_states in ephemeris.states_of_many(bodies, times[sample]).items():
        track = _Track(body, sample, times[sample], states[sample] - body_states, steps.direction)
        approaches += _approaches(steps, track, limits_au.get(body, 0.0))

    def when(approach: Approach) -> float:
        # What lies between a surface and the pericentre below it never happens.
        return steps.direction * (approach.impact.time_d if approach.impact else approach.time_d)

    approaches.sort(key=when)
    hit = next((index for index, approach in enumerate(approaches) if approach.impact), len(approaches))
    return approaches[: hit + 1]


def _near(times: Floats, states: Floats, limits_au: Mapping[Body, float]) -> NDArray[np.bool_]:
    """(N, 10) the samples at either end of a part in which the object can be within a body's limit, or its radius."""
    limits = [max(limits_au.get(body, 0.0), PROPERTIES[body].mean_radius_km / AU_KM) for body in Body]
    away_au = np.linalg.norm(states[:, None, :3] - rough_positions(times), axis=2)
    speed_au_d = np.linalg.norm(states[:, 3:], axis=1) + _GREATEST_BODY_SPEED_AU_D
    way_au = _SPEED_UP * np.maximum(speed_au_d[:-1], speed_au_d[1:]) * np.abs(np.diff(times))
    least_au = 0.5 * (away_au[:-1] + away_au[1:] - way_au[:, None])
    within = least_au <= np.array(limits) + ERROR_AU
    near = np.zeros((len(times), len(limits)), np.bool_)
    near[:-1] |= within
    near[1:] |= within
    return near


def _approaches(steps: Steps, track: _Track, reported_au: float) -> Iterator[Approach]:
    """The minima within the limit, up to the first that lies below the surface, or to the first sample that does."""
    radius_au = PROPERTIES[track.body].mean_radius_km / AU_KM
    limit_au = max(reported_au, radius_au)
    receding, distance_au, speed_au_d = track.receding, track.distance_au, track.speed_au_d
    inside = np.flatnonzero(distance_au < radius_au)
    first_inside = int(inside[0]) if len(inside) else len(distance_au)
    turns = (receding[:-1] < 0.0) & (receding[1:] >= 0.0) & (np.diff(track.sample) == 1)
    # A turn between the last sample above the surface and the first below it comes after the crossing.
    for before in np.flatnonzero(turns[: max(first_inside - 1, 0)]):
        after = before + 1
        way_au = _SPEED_UP * speed_au_d[before : after + 1].max() * abs(track.time_d[after] - track.time_d[before])
        if 0.5 * (distance_au[before] + distance_au[after] - way_au) > limit_au:
            continue
        low, high = float(track.time_d[before]), float(track.time_d[after])
        time_d = find_root(_radial_rate(steps, track.body, low, high), low, high)
        nearest_au = float(np.linalg.norm(_relative(steps, track.body, np.array([time_d]))[0, :3]))
        if nearest_au < radius_au:
            yield _impact(steps, track.body, _crossing_d(steps, track.body, low, time_d))
            return
        if nearest_au <= limit_au:
            yield _passage(steps, track.body, time_d)
    if first_inside == 0:
        yield _impact(steps, track.body, float(track.time_d[0]))
    elif first_inside < len(distance_au):
        above_d, below_d = track.time_d[first_inside - 1 : first_inside + 1]
        yield _impact(steps, track.body, _crossing_d(steps, track.body, float(above_d), float(below_d)))


def _relative(steps: Steps, body: Body, time_d: Floats) -> Floats:
    """(N, 6) the object relative to a body."""
    relative: Floats = steps.at(time_d) - ephemeris.states(body, time_d)
    return relative


def _radial_rate(steps: Steps, body: Body, low: float, high: float) -> Callable[[float], float]:
    """Half the rate of the squared distance between two instants within one part, by interpolation."""
    times = spread(low, high)
    relative = _relative(steps, body, times)
    rates = np.einsum("ij,ij->i", relative[:, :3], relative[:, 3:])[:, None]
    return lambda time_d: float(between(times, rates, np.array([time_d]))[0])


def _passage(steps: Steps, body: Body, time_d: float) -> Approach:
    relative, motion = _met(steps, body, time_d)
    return Approach(
        body=body,
        time_d=time_d,
        distance_km=float(np.linalg.norm(relative[:3])) * AU_KM,
        relative_velocity_km_s=float(np.linalg.norm(relative[3:])) * _KM_S_PER_AU_D,
        hyperbola=_hyperbola(body, relative, motion),
        impact=None,
    )


def _impact(steps: Steps, body: Body, time_d: float) -> Approach:
    """An approach that ends at the surface: below it, it is the two-body motion of the state there."""
    relative, motion = _met(steps, body, time_d)
    onwards = TwoBody.of(
        relative[:3] * AU_KM, steps.direction * relative[3:] * _KM_S_PER_AU_D, PROPERTIES[body].gm_km3_s2
    )
    return Approach(
        body=body,
        time_d=time_d + steps.direction * onwards.until_pericentre_s() / DAY_S,
        distance_km=onwards.pericentre_km,
        relative_velocity_km_s=onwards.pericentre_speed_km_s,
        hyperbola=_hyperbola(body, relative, motion),
        impact=Impact(time_d, float(np.linalg.norm(relative[3:])) * _KM_S_PER_AU_D),
    )


def _hyperbola(body: Body, relative: Floats, motion: Floats) -> Hyperbola | None:
    properties = PROPERTIES[body]
    return hyperbola(
        relative[:3] * AU_KM,
        relative[3:] * _KM_S_PER_AU_D,
        motion * _KM_S_PER_AU_D,
        properties.gm_km3_s2,
        properties.mean_radius_km,
    )


def _met(steps: Steps, body: Body, time_d: float) -> tuple[Floats, Floats]:
    """(6,) the object relative to a body, and (3,) the body's velocity relative to the Sun."""
    at = np.array([time_d])
    found = ephemeris.states_of_many((body, Body.SUN), at)
    return (steps.at(at) - found[body])[0], (found[body] - found[Body.SUN])[0, 3:]


def _crossing_d(steps: Steps, body: Body, above_d: float, below_d: float) -> float:
    """Where the surface is crossed between an instant above it and one below it."""
    radius_au = PROPERTIES[body].mean_radius_km / AU_KM

    def height_au(time_d: float) -> float:
        return float(np.linalg.norm(_relative(steps, body, np.array([time_d]))[0, :3])) - radius_au

    return find_root(height_au, above_d, below_d)


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """A zero of a function between two points at which its signs differ.

    Regula falsi with the Illinois rule (Dowell & Jarratt 1971, BIT 11, 168), order 1.44; every fourth step halves the
    bracket, so that it shrinks whatever the function.

    Args:
        function: continuous.
        low: one end.
        high: the other.

    Returns:
        A point within 1e-9 of the zero, or the bracket's better end where the signs do not differ.
    """
    at_low, at_high = function(low), function(high)
    if at_low * at_high > 0.0:
        return low if abs(at_low) < abs(at_high) else high
    for step in range(1, _MAX_ITERATIONS):
        if at_high == 0.0 or abs(high - low) < _TIME_TOLERANCE_D:
            break
        halves = step % 4 == 0 or at_high == at_low
        middle = 0.5 * (low + high) if halves else high - at_high * (high - low) / (at_high - at_low)
        at_middle = function(middle)
        if at_middle * at_high <= 0.0:
            low, at_low = high, at_high
        else:
            at_low /= 2.0
        high, at_high = middle, at_middle
    return float(high)
