# SPDX-License-Identifier: GPL-3.0-or-later
"""The linear estimate, and whether it holds: a question's first job.

The check asks the full integration, not a second derivative: the member that the linear map takes to the centre of a
body's disc is flown, and must arrive there; members along the line of variations, out to 4.5 sigma, must not meet
anything that the nominal orbit does not.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.elements import from_states
from gateway.neo.units import GM_SUN_AU3_D2, J2000_TDB_JD
from gateway.simulation.bodies import Body
from gateway.simulation.branch import Follower
from gateway.simulation.impact.passages import NOTHING, Flight, Passage
from gateway.simulation.impact.question import REACH_AU, Moved, Question, Row, TargetMap, mover
from gateway.simulation.impact.target_maps import (
    ellipse,
    fitted,
    fly,
    line_of_variations,
    linearise,
    passages_by_clone,
    pierced_km,
    probability,
    same_encounter,
)
from gateway.simulation.impact.uncertainty import CARTESIAN, Cloud, cartesian_values, nominal_values
from gateway.simulation.scenario import Branch, Scenario

Floats = NDArray[np.float64]

# In parts of the capture radius.
_TOLERATED: Final = 0.1
# Members farther from the nominal orbit than this many sigma are 1 in a million; beyond, only the trend is checked.
_FARTHEST: Final = 5.0
_TREND: Final = 0.2
_ALONG: Final = (-4.5, -3.0, -1.5, 1.5, 3.0, 4.5)
# No Gaussian is believed so far out in its tails: a linear probability is known to be below this at best.
TAIL: Final = 1e-10
# Escape from the Sun at Venus: nothing bound passes a body asked about more quickly.
_FASTEST_AU_D: Final = float(np.sqrt(2.0 * GM_SUN_AU3_D2 / 0.72))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the first look saw.

    Attributes:
        cloud: the orbits.
        rows: of the linear estimate, by time; disjoint.
        doubts: why the linear estimate does not hold; empty where it does.
        direction: (k,) unit vector along which the cloud is stretched most.
    """

    cloud: Cloud
    rows: tuple[Row, ...]
    doubts: tuple[str, ...]
    direction: Floats


@dataclass(frozen=True, slots=True)
class Lost:
    """The object does not live to see the epoch of its uncertainty: what it meets before, and when."""

    body: Body
    time_d: float


def first_look(question: Question, emit: Callable[[Moved], None], cancelled: Callable[[], bool]) -> Look | Lost:
    """Linear maps of the nominal orbit's encounters, their probabilities, and the check.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    cloud = cloud_of(question, cancelled)
    if isinstance(cloud, Lost):
        return cloud
    middle = np.zeros(cloud.dimensions)
    moved = mover(emit, cloud.epoch_d, question.window_d[1], share=0.5)
    around = linearise(cloud, middle, question, moved=moved, cancelled=cancelled)
    maps = [target for target in around.maps if question.window_d[0] <= target.time_d <= question.window_d[1]]
    direction = line_of_variations(maps[0]) if maps else _steepest(around.drift_au)
    points = np.array([sigma * direction for sigma in _ALONG] + [_likeliest(target) for target in maps])
    moved = mover(emit, cloud.epoch_d, question.window_d[1], done=0.5, share=0.5)
    flight, sound = fly(cloud, points, question, moved=moved, cancelled=cancelled)
    met = passages_by_clone(flight, len(points))
    doubts: list[str] = []
    if around.broken:
        doubts.append(f"{around.broken} encounters of the nominal orbit are not shared by its neighbours")
    if not sound.all():
        doubts.append("the uncertainty reaches beyond what makes an orbit")
    gap_au = _widest_gap_au(around.flight, flight)
    if gap_au > 2.0 * REACH_AU:
        doubts.append(f"members along the line of variations end up to {gap_au:.2g} au apart: too far to check between")
    strangers = [p for along in met[: len(_ALONG)] for p in along if not _known(p, maps, question)]
    if strangers:
        nearest = min(strangers, key=lambda passage: passage.distance_km)
        doubts.append(
            f"{len(strangers)} encounters along the line of variations are not the nominal orbit's: the nearest at "
            f"{nearest.distance_km:,.0f} km from {nearest.body.name}"
        )
    rows = []
    for target, point, passages in zip(maps, points[len(_ALONG) :], met[len(_ALONG) :], strict=True):
        row, doubt = _checked(target, point, passages)
        rows.append(row)
        if doubt:
            doubts.append(doubt)
    return Look(cloud, _disjoint(rows), tuple(doubts), direction)


def cloud_of(question: Question, cancelled: Callable[[], bool]) -> Cloud | Lost:
    """The orbits that the object may have, around the nominal one at the epoch of its uncertainty."""
    state, orbit = question.state, question.orbit
    if question.spread_d != question.state_d:
        moved = _moved(question, cancelled)
        if isinstance(moved, Lost):
            return moved
        state, orbit = moved, None
    if CARTESIAN[0] in question.labels:
        nominal = cartesian_values(
            state, epoch_d=question.spread_d, icrf=question.icrf, barycentric=question.barycentric
        )
        extra = dict(zip(("a1_au_d2", "a2_au_d2", "a3_au_d2"), question.pushes_au_d2, strict=True))
        nominal = np.concatenate((nominal, [extra[label] for label in question.labels[6:]]))
    else:
        orbit = orbit or from_states(state[None], np.array([question.spread_d + J2000_TDB_JD]))
        nominal = nominal_values(question.labels, orbit, question.pushes_au_d2)
    return Cloud(
        epoch_d=question.spread_d,
        labels=question.labels,
        nominal=nominal,
        spread=question.spread,
        pushes_au_d2=question.pushes_au_d2,
        icrf=question.icrf,
        barycentric=question.barycentric,
    )


def _moved(question: Question, cancelled: Callable[[], bool]) -> Floats | Lost:
    """(6,) the nominal heliocentric ecliptic state at the epoch of the uncertainty."""
    a1, a2, a3 = (float(push) for push in question.pushes_au_d2)
    scenario = Scenario(
        epoch_d=question.state_d,
        baseline_state=question.state,
        changed_state=None,
        pushes=(),
        duration_d=question.spread_d - question.state_d,
        forces=dataclasses.replace(question.forces, a1_au_d2=a1, a2_au_d2=a2, a3_au_d2=a3),
        limits_au={},
    )
    went = Follower(scenario, Branch.BASELINE, lambda _: None, lambda _, __: None, cancelled).follow()
    hit = next((met for met in went.approaches if met.impact), None)
    if hit is not None and hit.impact is not None:
        return Lost(hit.body, hit.impact.time_d)
    if went.final_state is None:
        raise RuntimeError("an orbit ended without an impact")
    return went.final_state


def _widest_gap_au(nominal: Flight, checked: Flight) -> float:
    """How far apart neighbours along the line of variations can be near Venus, from where they end up.

    They lag behind each other by as much time anywhere; the way in that time is longest where they are quickest.
    Whoever hit something has no neighbours.
    """
    half = len(_ALONG) // 2
    order = np.array([*range(1, half + 1), 0, *range(half + 1, len(_ALONG) + 1)])
    states = np.concatenate((nominal.states[:1], checked.states))[order]
    alive = np.concatenate((nominal.hit_body[:1], checked.hit_body))[order] == NOTHING
    pairs = alive[:-1] & alive[1:]
    apart_au = np.linalg.norm(np.diff(states[:, :3], axis=0), axis=1)
    speed_au_d = np.linalg.norm(states[:, 3:], axis=1)
    quickened = np.maximum(1.0, _FASTEST_AU_D / np.maximum(np.minimum(speed_au_d[:-1], speed_au_d[1:]), 1e-9))
    return float((apart_au * quickened)[pairs].max(initial=0.0))


def _steepest(drift_au: Floats) -> Floats:
    direction: Floats = np.linalg.svd(drift_au, full_matrices=False)[2][0]
    return direction


def _likeliest(target: TargetMap) -> Floats:
    """(k,) the most probable impactor, were the map exact, or what comes as near to one as 5 sigma allow."""
    z = fitted(target, target.capture_km / 3.0)
    return z * min(1.0, _FARTHEST / max(float(np.linalg.norm(z)), 1e-12))


def _hits(target: TargetMap, z: Floats) -> bool:
    image_km = float(np.linalg.norm(target.origin_km + target.slope_km @ z))
    return image_km <= target.capture_km and float(np.linalg.norm(z)) <= _FARTHEST


def _known(passage: Passage, maps: list[TargetMap], question: Question) -> bool:
    """Whether the nominal orbit has this encounter, or it does not count."""
    if passage.body not in question.bodies or not question.window_d[0] <= passage.time_d <= question.window_d[1]:
        return True
    like = [p for p in maps if p.body is passage.body]
    return any(abs(p.time_d - passage.time_d) <= 20.0 for p in like)


def _checked(target: TargetMap, point: Floats, passages: list[Passage]) -> tuple[Row, str]:
    """The row of one encounter, and what speaks against it."""
    predicted_km = target.origin_km + target.slope_km @ point
    alike = Passage(0, target.body, target.time_d, 0.0, None, 0.0, hit=False)
    there = pierced_km(same_encounter(alike, passages))
    share = probability(target)
    row = Row(
        body=target.body,
        time_d=target.time_d,
        probability=share,
        low=0.0,
        high=max(share, TAIL),
        hits=0,
        at=point,
        target=target,
        speed_km_s=target.speed_km_s,
        within_reach=_hits(target, point),
    )
    date = f"TDB JD {target.time_d + J2000_TDB_JD:.1f}"
    if there is None:
        return row, f"the linear map to {target.body.name} at {date} leads to no encounter"
    off_km = float(np.linalg.norm(there - predicted_km))
    row = dataclasses.replace(row, linear=off_km / target.capture_km)
    if not row.within_reach:
        outside_km = max(0.0, float(np.linalg.norm(predicted_km)) - target.capture_km)
        if off_km > max(_TOLERATED * target.capture_km, _TREND * outside_km):
            return row, f"the linear map to {target.body.name} at {date} is {off_km:,.0f} km off at {_FARTHEST:g} sigma"
        # Checked against its own limit, not against that of a map that hits.
        return dataclasses.replace(row, linear=None), ""
    shape = ellipse(target)
    along = np.array([np.cos(np.radians(shape.angle_deg)), np.sin(np.radians(shape.angle_deg))])
    moves = [sign * off_km * way for sign in (1.0, -1.0) for way in (along, np.array([-along[1], along[0]]))]
    shares = [share, *(probability(target, moved_km=move) for move in moves)]
    row = dataclasses.replace(row, low=min(shares), high=max(*shares, TAIL))
    if off_km > _TOLERATED * target.capture_km:
        return row, f"the linear map to {target.body.name} at {date} misses by {off_km:,.0f} km"
    return row, ""


def _disjoint(rows: list[Row]) -> tuple[Row, ...]:
    """First impacts: what one encounter takes, the next cannot have; the sum is 1 - prod(1 - p)."""
    left, left_low, left_high = 1.0, 1.0, 1.0
    disjoint = []
    for row in sorted(rows, key=lambda row: row.time_d):
        share, low, high = row.probability * left, row.low * left_low, row.high * left_high
        disjoint.append(dataclasses.replace(row, probability=share, low=low, high=high))
        left, left_low, left_high = left * (1 - row.probability), left_low * (1 - row.high), left_high * (1 - row.low)
    return tuple(disjoint)
