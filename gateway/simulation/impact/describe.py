# SPDX-License-Identifier: GPL-3.0-or-later
"""One encounter in full: its target plane around its most probable impactor, and where that one comes down."""

import dataclasses
from collections.abc import Callable

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.branch import heliocentric
from gateway.simulation.encounters import Approach
from gateway.simulation.entry import Entry
from gateway.simulation.impact.question import Moved, Question, Row, mover
from gateway.simulation.impact.target_maps import SAME_ENCOUNTER_D, linearise
from gateway.simulation.impact.uncertainty import Cloud
from gateway.simulation.scenario import ProgressReport, Scenario, Sighting, TrajectoryPiece
from gateway.simulation.simulate import simulate

# Beyond the impact, so that its encounter is complete.
_BEYOND_D = 1.0


def describe(
    question: Question, cloud: Cloud, row: Row, emit: Callable[[Moved], None], cancelled: Callable[[], bool]
) -> Row:
    """A job: add to a row its target plane, and the time, speed and entry of its most probable impactor.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    if row.at is None or not row.within_reach:
        return row
    until_d = min(question.window_d[1], row.time_d + _BEYOND_D)
    if row.target is None:
        moved = mover(emit, cloud.epoch_d, until_d, share=0.5)
        around = linearise(cloud, row.at, question, until_d=until_d, moved=moved, cancelled=cancelled)
        same = [m for m in around.maps if m.body is row.body and abs(m.time_d - row.time_d) <= SAME_ENCOUNTER_D]
        target = min(same, key=lambda m: abs(m.time_d - row.time_d), default=None)
        row = dataclasses.replace(row, target=target)
    emit(Moved(0.5))
    found = _impact(question, cloud, row, until_d, cancelled)
    if found is None:
        return row
    approach, entry = found
    if approach.impact is None:
        return row
    return dataclasses.replace(
        row, time_d=approach.impact.time_d, speed_km_s=approach.impact.relative_velocity_km_s, entry=entry
    )


def _impact(
    question: Question, cloud: Cloud, row: Row, until_d: float, cancelled: Callable[[], bool]
) -> tuple[Approach, Entry | None] | None:
    """The impactor followed alone, with every care that `Simulate` takes."""
    if row.at is None:
        return None
    member = cloud.members(row.at[None])
    if not member.sound[0]:
        return None
    a1, a2, a3 = (float(push) for push in member.pushes_au_d2[0])
    low, high = (jd - J2000_TDB_JD for jd in ephemeris.span_tdb_jd(question.forces.asteroid_kernel))
    scenario = Scenario(
        epoch_d=cloud.epoch_d,
        baseline_state=heliocentric(member.states[0], cloud.epoch_d),
        changed_state=None,
        pushes=(),
        duration_d=min(max(until_d, low), high) - cloud.epoch_d,
        forces=dataclasses.replace(question.forces, a1_au_d2=a1, a2_au_d2=a2, a3_au_d2=a3),
        limits_au={},
    )
    sightings: list[Sighting] = []

    def keep(update: ProgressReport | TrajectoryPiece | Sighting) -> None:
        if isinstance(update, Sighting):
            sightings.append(update)

    simulate(scenario, keep, cancelled)
    hits = [(s.approach, s.entry) for s in sightings if s.approach.impact and s.approach.body is row.body]
    return hits[-1] if hits else None
