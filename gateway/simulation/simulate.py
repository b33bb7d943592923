# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario from its question to its answer: the one function that both RPCs end in."""

import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.elements import from_states
from gateway.neo.errors import InvalidOrbitError
from gateway.neo.moid import moid
from gateway.neo.units import J2000_TDB_JD, JULIAN_YEAR_D
from gateway.simulation.bodies import PROPERTIES, Body, Planet
from gateway.simulation.branch import MAX_APPROACHES, Follower
from gateway.simulation.encounters import Approach
from gateway.simulation.ephemeris import planet_orbits
from gateway.simulation.nbody import INTEGRATOR, has_asteroids
from gateway.simulation.scenario import Branch, BranchOutcome, Outcome, ProgressReport, Scenario, Update

Floats = NDArray[np.float64]

_REPORT_EVERY_S: Final = 0.1
# Encounters up to 11 years from the epoch were compared with JPL's.
_VALIDATED_D: Final = 11 * JULIAN_YEAR_D
# An encounter that turns the orbit by this much multiplies what is not known of it.
_DEEP_TURN_DEG: Final = 1.0
_LONGITUDE_NOTE: Final = (
    "leap seconds are not known at the time of an atmospheric entry: its longitude is off by 0.004 deg a second"
)


def simulate(
    scenario: Scenario, emit: Callable[[Update], None], cancelled: Callable[[], bool] = lambda: False
) -> Outcome:
    """Follow every branch of a scenario.

    Args:
        scenario: the question.
        emit: takes progress, encounters and trajectory as they are found.
        cancelled: asked before every step of the integration.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    progress = _Progress(scenario, emit)
    outcomes = {
        branch: Follower(scenario, branch, emit, progress.mover(branch), cancelled).follow()
        for branch in scenario.branches
    }
    # An impact may have ended one of them before the last change.
    reached = [outcome.after_changes for outcome in outcomes.values()]
    moid_d = [time_d for time_d in reached[0] if all(time_d in states for states in reached)][-1]
    moids = {
        branch: moid_au
        for branch, outcome in outcomes.items()
        if (moid_au := _earth_moid_au(outcome.after_changes[moid_d], moid_d)) is not None
    }
    asteroids = has_asteroids(scenario.forces.asteroid_kernel)
    return Outcome(
        branches=outcomes,
        earth_moid_au=moids,
        moid_d=moid_d,
        integrator=INTEGRATOR,
        force_model=scenario.forces.description,
        ephemeris=scenario.forces.ephemeris_description,
        notes=(*scenario.notes, *_notes(scenario, outcomes, asteroids=asteroids)),
    )


class _Progress:
    """Adds up what is done over all branches and says so ten times a second."""

    def __init__(self, scenario: Scenario, emit: Callable[[Update], None]) -> None:
        ways = 2 if scenario.check_round_trip else 1
        self._whole_d = abs(scenario.duration_d) * len(scenario.branches) * ways
        self._done_d = 0.0
        self._emit = emit
        self._next_s = time.monotonic()

    def mover(self, branch: Branch) -> Callable[[float, float], None]:
        """What one branch tells its days to."""

        def moved(days: float, time_d: float) -> None:
            self._done_d += days
            if time.monotonic() >= self._next_s:
                self._next_s = time.monotonic() + _REPORT_EVERY_S
                self._emit(ProgressReport(min(1.0, self._done_d / self._whole_d), branch, time_d))

        return moved


def _earth_moid_au(state: Floats, time_d: float) -> float | None:
    """Earth MOID of the osculating orbit of a heliocentric state; None where it has none."""
    epoch_tdb_jd = np.array([time_d + J2000_TDB_JD])
    try:
        orbit = from_states(state[None], epoch_tdb_jd)
    except InvalidOrbitError:
        return None
    distance_au = float(moid(orbit, planet_orbits(Planet.EARTH, epoch_tdb_jd)).distance_au[0])
    return distance_au if np.isfinite(distance_au) else None


def _notes(scenario: Scenario, outcomes: dict[Branch, BranchOutcome], *, asteroids: bool) -> list[str]:
    approaches = [approach for outcome in outcomes.values() for approach in outcome.approaches]
    notes = ["the orbit is taken as given: its uncertainty is not propagated"]
    if not asteroids:
        notes.append("without asteroid perturbers positions are off by up to 18 km after 7 years")
    if abs(scenario.duration_d) > _VALIDATED_D:
        notes.append("encounters more than 11 years from the epoch are not validated")
    if scenario.duration_d < 0 and scenario.pushes:
        notes.append("backwards in time a velocity change is taken away: the object is known after it")
    if any(_is_deep(approach) for approach in approaches):
        notes.append("errors grow after an encounter that turns the orbit by more than 1 deg")
    if any(approach.impact and approach.body is Body.EARTH for approach in approaches):
        notes.append("the atmosphere is not modelled: the impact is where the solid mean radius is crossed")
    if any(entry and not entry.utc_known for outcome in outcomes.values() for entry in outcome.entries):
        notes.append(_LONGITUDE_NOTE)
    if any(PROPERTIES[approach.body].is_system_barycenter for approach in approaches):
        notes.append("planets from Mars outward are their systems' barycentres: Jupiter's is up to 220 km off")
    if left_out := sum(outcome.approaches_left_out for outcome in outcomes.values()):
        notes.append(f"{left_out:,} approaches beyond the first {MAX_APPROACHES:,} of a branch are left out")
    if scenario.check_round_trip and any(outcome.final_state is None for outcome in outcomes.values()):
        notes.append("no round trip from an impact")
    return notes + sorted({warning for outcome in outcomes.values() for warning in outcome.warnings})


def _is_deep(approach: Approach) -> bool:
    if approach.body is Body.SUN or approach.impact:
        return False
    return approach.hyperbola is None or approach.hyperbola.turn_deg > _DEEP_TURN_DEG
