# SPDX-License-Identifier: GPL-3.0-or-later
"""One branch of a scenario, followed from its start to its end or its impact.

Both branches stop at the same instants, so that they take the same steps and differ by the changes alone: a push of
zero gives the baseline to the last bit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.frames import ecliptic_to_icrf, icrf_to_ecliptic
from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.descent import descend
from gateway.simulation.encounters import Approach, search
from gateway.simulation.entry import Entry, find_entry
from gateway.simulation.nbody import Integrator
from gateway.simulation.sampling import AdaptiveSampler, EvenSampler, Points, Sampler
from gateway.simulation.scenario import (
    Branch,
    BranchOutcome,
    Push,
    PushAxes,
    Sampling,
    Scenario,
    Sighting,
    TrajectoryPiece,
)
from gateway.simulation.steps import Steps

Floats = NDArray[np.float64]

# Steps between two looks for encounters, at first and at most: 10 years of a near-Earth object are about 500. Long
# runs look less often, at a lower cost a step.
_STEPS_AT_ONCE: Final = 32
_MAX_STEPS_AT_ONCE: Final = 192
# A reply holds no more approaches of a branch than this; a satellite would fill it with its orbits.
MAX_APPROACHES: Final = 5_000
_AU_D_PER_KM_S: Final = DAY_S / AU_KM
# Points of a trajectory that go out together.
_POINTS_AT_ONCE: Final = 1_000


@dataclass(slots=True)
class Follower:
    """Follows one branch.

    Attributes:
        scenario: the whole question.
        branch: which side of it.
        emit: takes what is found on the way.
        moved: told the days just covered, and where the branch is.
        cancelled: asked before every step.
    """

    scenario: Scenario
    branch: Branch
    emit: Callable[[Sighting | TrajectoryPiece], None]
    moved: Callable[[float, float], None]
    cancelled: Callable[[], bool]
    _approaches: list[Approach] = field(default_factory=list, init=False)
    _entries: list[Entry | None] = field(default_factory=list, init=False)
    # The steps before those at hand.
    _before: Steps | None = field(default=None, init=False)
    _left_out: int = field(default=0, init=False)
    _warnings: dict[str, None] = field(default_factory=dict, init=False)
    # What was added to the velocity, when: (3,) ICRF au/d.
    _pushed: list[tuple[float, Floats]] = field(default_factory=list, init=False)
    _sampler: Sampler = field(init=False)

    def __post_init__(self) -> None:
        """Choose how the trajectory is sampled."""
        scenario = self.scenario
        if scenario.sampling is Sampling.ADAPTIVE and scenario.trajectory_points:
            self._sampler = AdaptiveSampler(scenario.trajectory_points)
        else:
            self._sampler = EvenSampler(scenario.epoch_d, scenario.end_d, scenario.trajectory_points)

    def follow(self) -> BranchOutcome:
        """Go all the way.

        Raises:
            Cancelled: when told so.
            RuntimeError: the integrator failed.
        """
        scenario = self.scenario
        start = self._start()
        state, time_d = start, scenario.epoch_d
        after_changes = {time_d: state}
        hit = False
        self._emit_points(self._sampler.start(start, time_d))
        push_times = self._push_times()
        for stop_d in dict.fromkeys((*push_times, scenario.end_d)):
            state, time_d, hit = self._leg(state, time_d, stop_d)
            if hit:
                break
            if self.branch is Branch.CHANGED:
                for push in scenario.pushes:
                    if push.time_d == stop_d:
                        state = self._apply(push, state, time_d)
            if stop_d in push_times:
                after_changes[stop_d] = state
        self._emit_points(self._sampler.finish())
        return BranchOutcome(
            approaches=tuple(self._approaches),
            entries=tuple(self._entries),
            approaches_left_out=self._left_out,
            final_d=time_d,
            final_state=None if hit else heliocentric(state, time_d),
            after_changes={at_d: heliocentric(reached, at_d) for at_d, reached in after_changes.items()},
            round_trip_error_km=self._return(state, time_d, start) if scenario.check_round_trip and not hit else None,
            warnings=tuple(self._warnings),
        )

    def _start(self) -> Floats:
        scenario = self.scenario
        changed = scenario.changed_state if self.branch is Branch.CHANGED else None
        return barycentric(scenario.baseline_state if changed is None else changed, scenario.epoch_d)

    def _push_times(self) -> list[float]:
        backwards = self.scenario.duration_d < 0
        return sorted({push.time_d for push in self.scenario.pushes}, reverse=backwards)

    def _leg(self, state: Floats, time_d: float, stop_d: float) -> tuple[Floats, float, bool]:
        """From one stop to the next, or to an impact: the state, the time, and whether something was hit."""
        integrator = Integrator(state, time_d, self.scenario.forces)
        max_steps = _STEPS_AT_ONCE
        while steps := integrator.advance(stop_d, max_steps=max_steps, cancelled=self.cancelled):
            max_steps = min(2 * max_steps, _MAX_STEPS_AT_ONCE)
            found, steps = self._search(steps)
            self._note(found, steps)
            impact = found[-1].impact if found else None
            end_d = impact.time_d if impact else float(steps.time_d[-1])
            self._emit_points(self._sampler.add(steps, end_d))
            self._before = steps
            self.moved(abs(end_d - float(steps.time_d[0])), end_d)
            if impact:
                return steps.at(np.array([end_d]))[0], end_d, True
        self._warnings.update(dict.fromkeys(integrator.warnings))
        return integrator.state, integrator.time_d, False

    def _search(self, steps: Steps) -> tuple[list[Approach], Steps]:
        """The approaches within some steps, and these steps, finer where they come down to a surface."""
        scenario = self.scenario
        found = search(steps, scenario.limits_au)
        if not found or (impact := found[-1].impact) is None:
            return found, steps
        finer = descend(steps, found[-1].body, impact.time_d, scenario.forces, self.cancelled)
        again = search(finer, scenario.limits_au)
        return (again, finer) if again and again[-1].impact else (found, steps)

    def _note(self, approaches: list[Approach], steps: Steps) -> None:
        for approach in approaches:
            if len(self._approaches) < MAX_APPROACHES or approach.impact:
                entry = find_entry(steps, approach, self._before)
                self._approaches.append(approach)
                self._entries.append(entry)
                self.emit(Sighting(self.branch, approach, entry))
            else:
                self._left_out += 1

    def _emit_points(self, points: Points) -> None:
        times, states = points
        for first in range(0, len(times), _POINTS_AT_ONCE):
            part = slice(first, first + _POINTS_AT_ONCE)
            positions = heliocentric(states[part], times[part])[:, :3]
            self.emit(TrajectoryPiece(self.branch, times[part], positions))

    def _apply(self, push: Push, state: Floats, time_d: float) -> Floats:
        delta_v = np.array(push.delta_v_km_s) * _AU_D_PER_KM_S
        if push.axes is PushAxes.ECLIPTIC:
            delta_v = ecliptic_to_icrf(delta_v)
        else:
            relative = state - ephemeris.states(Body.SUN, np.array([time_d]))[0]
            delta_v = delta_v @ orbital_axes(relative)
        delta_v = delta_v * np.copysign(1.0, self.scenario.duration_d)
        self._pushed.append((push.time_d, delta_v))
        return np.concatenate((state[:3], state[3:] + delta_v))

    def _return(self, state: Floats, time_d: float, start: Floats) -> float:
        """Back to the start through the same stops, every push undone: by how many km it is missed."""
        at_d = self.scenario.end_d
        for stop_d in (*reversed(self._push_times()), self.scenario.epoch_d):
            state = self._undo(state, at_d)
            integrator = Integrator(state, time_d, self.scenario.forces)
            while steps := integrator.advance(stop_d, max_steps=_STEPS_AT_ONCE, cancelled=self.cancelled):
                self.moved(abs(float(steps.time_d[-1] - steps.time_d[0])), float(steps.time_d[-1]))
            state, time_d, at_d = integrator.state, integrator.time_d, stop_d
        state = self._undo(state, at_d)
        return float(np.linalg.norm(state[:3] - start[:3])) * AU_KM

    def _undo(self, state: Floats, at_d: float) -> Floats:
        """Take away what was added to the velocity at a stop, once."""
        undone = [delta_v for pushed_d, delta_v in self._pushed if pushed_d == at_d]
        self._pushed = [pushed for pushed in self._pushed if pushed[0] != at_d]
        return np.concatenate((state[:3], state[3:] - np.sum(undone, axis=0))) if undone else state


def orbital_axes(heliocentric_state: Floats) -> Floats:
    """Rows: the radial, transverse and normal unit vectors at a heliocentric state of shape (6,), in its axes."""
    radial = heliocentric_state[:3] / np.linalg.norm(heliocentric_state[:3])
    momentum = np.cross(heliocentric_state[:3], heliocentric_state[3:])
    normal = momentum / np.linalg.norm(momentum)
    return np.stack((radial, np.cross(normal, radial), normal))


def barycentric(heliocentric_state: Floats, time_d: float) -> Floats:
    """(6,) ecliptic heliocentric to (6,) ICRF barycentric."""
    sun: Floats = ephemeris.states(Body.SUN, np.array([time_d]))[0]
    return ecliptic_to_icrf(heliocentric_state) + sun


def heliocentric(barycentric_states: Floats, time_d: Floats | float) -> Floats:
    """ICRF barycentric to ecliptic heliocentric: (6,) at a time, or (N, 6) at N times."""
    sun = ephemeris.states(Body.SUN, np.atleast_1d(time_d))
    relative: Floats = barycentric_states - (sun if barycentric_states.ndim > 1 else sun[0])
    return icrf_to_ecliptic(relative)
