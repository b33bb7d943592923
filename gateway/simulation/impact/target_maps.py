# SPDX-License-Identifier: GPL-3.0-or-later
"""First-order maps from an orbit's uncertainty to the target planes of its encounters, by finite differences.

One trajectory and two for each direction of the cloud, 13 for six elements, go as one swarm, so that they take the same
steps and what steps do to them cancels. In coordinates of unit variance the singular vectors of a map are the line of
variations and its like: the first singular value is the stretching, the second the width of the image (Milani, Chesley,
Sansaturio, Tommei & Valsecchi 2005, Icarus 173, 362, section 2; Farnocchia, Chesley, Milani, Gronchi & Chodas 2015 in
Asteroids IV, p. 815).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.impact.gaussian import over_disc
from gateway.simulation.impact.passages import Flight, Passage, follow
from gateway.simulation.impact.question import Ellipse, Question, TargetMap
from gateway.simulation.impact.uncertainty import Cloud

Floats = NDArray[np.float64]

# Of a sigma. What a tenth leaves of the third derivative is a hundredth of what a whole sigma would; what
# integration leaves of noise, metres, is little beside it.
STEP: Final = 0.1
# Passages of neighbouring members by one body that are farther apart in time belong to different encounters.
SAME_ENCOUNTER_D: Final = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Linearisation:
    """The cloud to first order around one member.

    Attributes:
        maps: of every encounter of that member that all its neighbours share, by time.
        broken: how many of its encounters they do not share, or go without a target plane.
        drift_au: (3, k) derivatives of the position at the end.
        flight: of all trajectories.
    """

    maps: tuple[TargetMap, ...]
    broken: int
    drift_au: Floats
    flight: Flight


def stencil(at: Floats) -> Floats:
    """(2 k + 1, k) the member and its neighbours."""
    steps = STEP * np.eye(len(at))
    rows: Floats = np.concatenate((at[None], at + steps, at - steps))
    return rows


def fly(
    cloud: Cloud,
    z: Floats,
    question: Question,
    *,
    until_d: float | None = None,
    near_misses: bool = True,
    moved: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Flight, NDArray[np.bool_]]:
    """Carry members of a cloud from its epoch to the end of the window: their flight, and which of them are orbits.

    Args:
        cloud: the orbits.
        z: (N, k) the members.
        question: what is asked.
        until_d: where to stop; the end of the window by default.
        near_misses: note encounters too, not only hits.
        moved: told after each step where the members are.
        cancelled: asked before every step.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    members = cloud.members(z)
    flight = follow(
        members.states,
        cloud.epoch_d,
        question.window_d[1] if until_d is None else until_d,
        forces=question.forces,
        pushes_au_d2=members.pushes_au_d2,
        reach_au=question.reach_au if near_misses else {},
        moved=moved,
        cancelled=cancelled,
    )
    return flight, members.sound


def linearise(
    cloud: Cloud,
    at: Floats,
    question: Question,
    *,
    until_d: float | None = None,
    moved: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Linearisation:
    """The maps around one member.

    Args:
        cloud: the orbits.
        at: (k,) the member.
        question: what is asked.
        until_d: where to stop; the end of the window by default.
        moved: told after each step where the members are.
        cancelled: asked before every step.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    flight, sound = fly(cloud, stencil(at), question, until_d=until_d, moved=moved, cancelled=cancelled)
    by_clone = passages_by_clone(flight, 2 * len(at) + 1)
    maps: list[TargetMap] = []
    broken = 0
    for passage in by_clone[0]:
        found = _map(passage, by_clone[1:], at) if sound.all() else None
        if found is None:
            broken += 1
        else:
            maps.append(found)
    ahead, behind = np.split(flight.states[1:, :3], 2)
    return Linearisation(tuple(maps), broken, (ahead - behind).T / (2.0 * STEP), flight)


def passages_by_clone(flight: Flight, clones: int) -> list[list[Passage]]:
    """The passages of each clone, by time."""
    by_clone: list[list[Passage]] = [[] for _ in range(clones)]
    for passage in sorted(flight.passages, key=lambda passage: passage.time_d):
        by_clone[passage.clone].append(passage)
    return by_clone


def same_encounter(passage: Passage, among: Sequence[Passage]) -> Passage | None:
    """The passage by the same body that is nearest in time, at most 20 days apart."""
    others = [other for other in among if other.body is passage.body]
    nearest = min(others, key=lambda other: abs(other.time_d - passage.time_d), default=None)
    if nearest is None or abs(nearest.time_d - passage.time_d) > SAME_ENCOUNTER_D:
        return None
    return nearest


def pierced_km(passage: Passage | None) -> Floats | None:
    """(2,) xi and zeta of a passage, where it has a target plane."""
    if passage is None or passage.hyperbola is None or passage.hyperbola.plane is None:
        return None
    return np.array([passage.hyperbola.plane.xi_km, passage.hyperbola.plane.zeta_km])


def _map(passage: Passage, neighbours: Sequence[Sequence[Passage]], at: Floats) -> TargetMap | None:
    points = [pierced_km(passage), *(pierced_km(same_encounter(passage, among)) for among in neighbours)]
    known = [point for point in points if point is not None]
    if len(known) < len(points) or passage.hyperbola is None or passage.hyperbola.plane is None:
        return None
    ahead, behind = np.split(np.array(known[1:]), 2)
    return TargetMap(
        body=passage.body,
        time_d=passage.time_d,
        at=at,
        centre_km=known[0],
        slope_km=(ahead - behind).T / (2.0 * STEP),
        capture_km=passage.hyperbola.plane.capture_radius_km,
        v_infinity_km_s=passage.hyperbola.v_infinity_km_s,
        speed_km_s=passage.speed_km_s,
        hit=passage.hit,
    )


def probability(target: TargetMap, *, moved_km: Floats | float = 0.0) -> float:
    """Of a hit, were the map exact: the cloud's Gaussian image over the disc that gravity makes of the body.

    Chodas & Yeomans 1999 (BAAS 31, 1117) and Milani et al. 2005, section 6.

    Args:
        target: the map.
        moved_km: (2,) by how much the image is moved.
    """
    return over_disc(target.origin_km + moved_km, target.covariance_km2, target.capture_km)


def fitted(target: TargetMap, sharpness_km: float) -> Floats:
    """(k,) the least |z|^2 + |b(z)|^2 / s^2 of a linear map b."""
    slope = target.slope_km / sharpness_km
    wanted = -target.origin_km / sharpness_km
    # By the 2 x 2 dual: slope may be 1e9.
    z: Floats = slope.T @ np.linalg.solve(np.eye(2) + slope @ slope.T, wanted)
    return z


def ellipse(target: TargetMap) -> Ellipse:
    """One sigma of the image."""
    left, values, _ = np.linalg.svd(target.slope_km, full_matrices=False)
    values = np.append(values, 0.0)
    xi, zeta = target.origin_km
    angle_deg = float(np.degrees(np.arctan2(left[1, 0], left[0, 0])) % 180.0)
    return Ellipse(float(xi), float(zeta), float(values[0]), float(values[1]), angle_deg)


def line_of_variations(target: TargetMap) -> Floats:
    """(k,) unit vector along which the image is stretched most, towards growing zeta."""
    left, _, right = np.linalg.svd(target.slope_km, full_matrices=False)
    direction: Floats = right[0] * (1.0 if left[1, 0] >= 0.0 else -1.0)
    return direction
