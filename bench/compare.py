# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow objects from their elements to their published close approaches and say by how much ours differ."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from bench.cad import Case, Floats, Published
from gateway.neo.units import AU_KM, DAY_S, J2000_TDB_JD
from gateway.simulation.bodies import Body
from gateway.simulation.encounters import Approach
from gateway.simulation.ephemeris import heliocentric_ecliptic_states
from gateway.simulation.nbody import Fidelity, Forces
from gateway.simulation.scenario import Branch, Scenario
from gateway.simulation.simulate import simulate

# Beyond the last approach, so that its minimum is passed.
_MARGIN_D: Final = 3.0
_WIDER: Final = 1.01
# A minimum of ours that lies farther off in time is another one.
_SAME_WITHIN_D: Final = 1.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours minus the published, for one close approach; all NaN where we have none there.

    Attributes:
        designation: of whom.
        condition_code: of its orbit.
        published: what was published.
        days_from_epoch: signed.
        distance_km, time_s, v_rel_km_s, v_inf_km_s: differences.
    """

    designation: str
    condition_code: str
    published: Published
    days_from_epoch: float
    distance_km: float
    time_s: float
    v_rel_km_s: float
    v_inf_km_s: float


def follow(case: Case, fidelity: Fidelity, kernel: Path | None) -> list[Difference]:
    """One object, forwards from its epoch and backwards, as far as its approaches lie.

    Args:
        case: the object.
        fidelity: of the integration.
        kernel: of the perturbing asteroids, or None.
    """
    offsets_d = [one.time_tdb_jd - case.epoch_tdb_jd for one in case.published]
    found: list[Approach] = []
    for duration_d in (max(offsets_d) + _MARGIN_D, min(offsets_d) - _MARGIN_D):
        if any(offset_d * duration_d > 0 for offset_d in offsets_d):
            found += _approaches(case, duration_d, fidelity, kernel)
    return [_difference(case, one, offset_d, found) for one, offset_d in zip(case.published, offsets_d, strict=True)]


def follow_all(
    cases: Sequence[Case], fidelity: Fidelity, kernel: Path | None, *, processes: int, tell: Callable[[int], None]
) -> list[Difference]:
    """All objects, spread over processes.

    Args:
        cases: the objects.
        fidelity: of the integration.
        kernel: of the perturbing asteroids, or None.
        processes: how many work at once.
        tell: told how many objects are done, now and then.
    """
    differences: list[Difference] = []
    for done, some in enumerate(_spread(partial(follow, fidelity=fidelity, kernel=kernel), cases, processes), 1):
        differences += some
        if done % 100 == 0:
            tell(done)
    return differences


def _spread(
    work: Callable[[Case], list[Difference]], cases: Sequence[Case], processes: int
) -> Iterator[list[Difference]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as executor:
        yield from executor.map(work, cases, chunksize=8)


def _approaches(case: Case, duration_d: float, fidelity: Fidelity, kernel: Path | None) -> tuple[Approach, ...]:
    question = _question(case, duration_d, fidelity, kernel)
    return simulate(question, lambda _: None).branches[Branch.BASELINE].approaches


def _question(case: Case, duration_d: float, fidelity: Fidelity, kernel: Path | None) -> Scenario:
    return Scenario(
        epoch_d=case.epoch_tdb_jd - J2000_TDB_JD,
        baseline_state=case.state,
        changed_state=None,
        pushes=(),
        duration_d=duration_d,
        forces=Forces(
            fidelity, case.a1_au_d2, case.a2_au_d2, case.a3_au_d2, asteroid_kernel=kernel, marsden=case.marsden
        ),
        limits_au=_limits_au(case.published),
    )


def _limits_au(published: Sequence[Published]) -> dict[Body, float]:
    bodies = {one.body for one in published}
    return {body: _WIDER * max(one.distance_km for one in published if one.body is body) / AU_KM for body in bodies}


def _difference(case: Case, published: Published, offset_d: float, found: Sequence[Approach]) -> Difference:
    time_d = published.time_tdb_jd - J2000_TDB_JD
    same = [one for one in found if one.body is published.body and abs(one.time_d - time_d) < _SAME_WITHIN_D]
    nan = float("nan")
    distance_km = time_s = v_rel_km_s = v_inf_km_s = nan
    if same:
        ours = min(same, key=lambda one: abs(one.time_d - time_d))
        distance_km = ours.distance_km - published.distance_km
        time_s = (ours.time_d - time_d) * DAY_S
        v_rel_km_s = (ours.relative_velocity_km_s or nan) - published.v_rel_km_s
        v_inf_km_s = ours.hyperbola.v_infinity_km_s - published.v_inf_km_s if ours.hyperbola else nan
    return Difference(
        case.designation, case.condition_code, published, offset_d, distance_km, time_s, v_rel_km_s, v_inf_km_s
    )


@dataclass(frozen=True, slots=True)
class Geometry:
    """An object relative to a body's centre at one instant."""

    distance_km: float
    speed_km_s: float
    range_rate_km_s: float


def at_published_time(case: Case, published: Published, fidelity: Fidelity, kernel: Path | None) -> Geometry:
    """Where the object is at the instant an authority gave for its minimum.

    Raises:
        ValueError: it hit something before.
    """
    state = _final_state(case, published.time_tdb_jd, fidelity, kernel)
    at = np.array([published.time_tdb_jd - J2000_TDB_JD])
    relative = state - heliocentric_ecliptic_states(published.body, at)[0]
    position_km, velocity_km_s = relative[:3] * AU_KM, relative[3:] * AU_KM / DAY_S
    distance_km = float(np.linalg.norm(position_km))
    return Geometry(distance_km, float(np.linalg.norm(velocity_km_s)), float(position_km @ velocity_km_s) / distance_km)


def final_states(
    cases: Sequence[Case], until_tdb_jd: float, fidelity: Fidelity, kernel: Path | None, *, processes: int
) -> Floats:
    """(N, 6) heliocentric ecliptic states of all objects at one instant, au and au/d.

    Raises:
        ValueError: an object hit something before.
    """
    context = multiprocessing.get_context("spawn")
    work = partial(_final_state, until_tdb_jd=until_tdb_jd, fidelity=fidelity, kernel=kernel)
    with ProcessPoolExecutor(processes, mp_context=context) as executor:
        return np.array(list(executor.map(work, cases, chunksize=8)))


def _final_state(case: Case, until_tdb_jd: float, fidelity: Fidelity, kernel: Path | None) -> Floats:
    question = _question(case, until_tdb_jd - case.epoch_tdb_jd, fidelity, kernel)
    state = simulate(question, lambda _: None).branches[Branch.BASELINE].final_state
    if state is None:
        raise ValueError(f"{case.designation} does not get there")
    return state
