# SPDX-License-Identifier: GPL-3.0-or-later
"""The encounter that a push is to move, and the object on its way there.

It is followed through the whole force model each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.branch import Follower, barycentric, heliocentric
from gateway.simulation.deflection.question import Question
from gateway.simulation.differences import MAX_APART_D
from gateway.simulation.encounters import Approach
from gateway.simulation.jobs import Cancel, Emit
from gateway.simulation.nbody import Integrator
from gateway.simulation.scenario import Branch, ProgressReport, Scenario

Floats = NDArray[np.float64]

OUR_LEAD_TIMES: Final = 12
"""How many there are where none are asked for."""

_STEPS_AT_ONCE: Final = 64


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
        for approach in approaches(question, start, question.epoch_d, last, emit, cancelled)
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


def approaches(
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


def counterpart(found: tuple[Approach, ...], unpushed: Approach) -> Approach | None:
    """The approach that is the unpushed one moved: with the same body, nearest in time, at most 30 days apart."""
    near = [
        approach
        for approach in found
        if approach.body is unpushed.body and abs(approach.time_d - unpushed.time_d) <= MAX_APART_D
    ]
    return min(near, key=lambda approach: abs(approach.time_d - unpushed.time_d), default=None)


def _carried(question: Question, state: Floats, from_d: float, to_d: float, cancelled: Cancel) -> tuple[Floats, float]:
    integrator = Integrator(state, from_d, question.forces)
    while integrator.advance(to_d, max_steps=_STEPS_AT_ONCE, cancelled=cancelled):
        pass
    return integrator.state, integrator.time_d
