# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones in groups that take steps apart, so that the one nearest the Sun or a planet does not set the step of all.

Each clone's own step is what IAS15's control would give it alone (`Swarm.own_steps_d`). Clones are sorted by it and cut
into groups where that makes the whole cheaper: a step of a group costs a fixed part and a part for each clone, and is
as long as the shortest own step in it. A group can be cut after any step. Groups meet again after some steps of the
slowest; there they are joined, or cut anew, where that is cheaper.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.nbody import ARRIVED_D, Forces, Swarm, SwarmStep

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

# What a step costs besides its clones, in clones: measured with blocks of 1 to 500.
_FIXED: Final = 80.0
# A swarm begun anew costs about two steps: what saves less than this share is left as it is.
_SAVING: Final = 0.2
_MEET_AFTER: Final = 8
# Own steps so many times as long as the step just taken are lost in its rounding.
_LONGEST: Final = 10.0
# IAS15 takes back a step only when it is four times too long: a first step is no guess.
_FIRST: Final = 0.7
_GROWTH: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class GroupStep:
    """A step of some clones.

    Attributes:
        clones: (n,) their rows.
        step: what the integrator did.
        after: (n, 6) states at its end.
    """

    clones: Indices
    step: SwarmStep
    after: Floats


@dataclass(slots=True, eq=False)
class _Group:
    clones: Indices
    swarm: Swarm


class StepGroups:
    """N clones on their way.

    Attributes:
        states: (N, 6) of each clone after its last step, barycentric ICRF, au and au/d.
        times: (N,) when that is, days of TDB since J2000.0.
        flying: (N,) which of them go on. The caller may take some out after a step.
        calm: (N,) which stay far from all bodies in their next step; see `Swarm.be_calm`. To be set after each step.
    """

    def __init__(self, states: Floats, start_d: float, forces: Forces, pushes_au_d2: Floats | None) -> None:
        """Put the clones at their start; arguments as those of `Swarm`."""
        self.states: Floats = states.copy()
        self.times: Floats = np.full(len(states), start_d)
        self.flying: Flags = np.ones(len(states), np.bool_)
        self.calm: Flags = np.zeros(len(states), np.bool_)
        self._forces = forces
        self._pushes = np.tile(forces.pushes_au_d2, (len(states), 1)) if pushes_au_d2 is None else pushes_au_d2
        self._own_d: Floats = np.zeros(len(states))
        self._step_d: Floats = np.zeros(len(states))

    def steps(self, end_d: float) -> Iterator[GroupStep]:
        """Steps of one group or another, until all clones are there.

        Raises:
            RuntimeError: the integrator failed.
        """
        groups = self._begun([np.flatnonzero(self.flying)])
        while groups:
            groups.sort(key=lambda group: float(self._own_d[group.clones].min()))
            slowest = groups.pop()
            yield from self._carry(slowest, end_d, groups, leads=True)
            meet_d = slowest.swarm.time_d
            arrived = [slowest]
            while groups:
                arrived.append(groups.pop())
                yield from self._carry(arrived[-1], meet_d, groups, leads=False)
            groups = self._regrouped(arrived) if end_d - meet_d > ARRIVED_D else []

    def _carry(self, group: _Group, until_d: float, others: list[_Group], *, leads: bool) -> Iterator[GroupStep]:
        """Steps of a group until it is there; what is cut from it is put to the others, and its slowest part goes on.

        The group that leads stops where the others are to meet it, if there are any.
        """
        count = 0
        while len(group.clones) and (step := group.swarm.step(until_d)) is not None:
            count += 1
            clones = group.clones
            self.states[clones], self.times[clones] = group.swarm.states, step.end_d
            yield GroupStep(clones, step, self.states[clones])
            self._measure(group, step)
            self._cut(group, others)
            if leads and others and count >= _MEET_AFTER:
                return

    def _measure(self, group: _Group, step: SwarmStep) -> None:
        """Note each clone's own step, unless the step was cut short."""
        length_d = step.end_d - step.start_d
        if length_d > 0.5 * group.swarm.next_step_d or not self._own_d[group.clones].all():
            own_d = group.swarm.own_steps_d(step, self.calm[group.clones])
            self._own_d[group.clones] = np.minimum(own_d, _LONGEST * length_d)
            self._step_d[group.clones] = length_d

    def _cut(self, group: _Group, others: list[_Group]) -> None:
        flying = group.clones[self.flying[group.clones]]
        if not len(flying):
            group.clones = flying
            return
        parts = _cheapest(flying, self._own_d)
        if len(parts) > 1 or len(flying) < len(group.clones):
            *fast, slowest = self._begun(parts)
            others += fast
            group.clones, group.swarm = slowest.clones, slowest.swarm
        group.swarm.be_calm(bool(self.calm[group.clones].all()))

    def _regrouped(self, arrived: list[_Group]) -> list[_Group]:
        """Groups that have met, in groups that are cheaper."""
        arrived = [group for group in arrived if len(group.clones)]
        if len(arrived) < 2:
            return arrived
        parts = _cheapest(np.concatenate([group.clones for group in arrived]), self._own_d)
        before = sum(_cost(group.clones, self._own_d) for group in arrived)
        if sum(_cost(part, self._own_d) for part in parts) > (1.0 - _SAVING) * before:
            return arrived
        return self._begun(parts)

    def _begun(self, parts: list[Indices]) -> list[_Group]:
        """Groups from where their clones are."""
        groups = []
        for clones in parts:
            own_d, step_d = float(self._own_d[clones].min()), float(self._step_d[clones].min())
            swarm = Swarm(
                self.states[clones],
                float(self.times[clones[0]]),
                self._forces,
                self._pushes[clones],
                first_step_d=min(_FIRST * own_d, _GROWTH * step_d) or None,
            )
            swarm.be_calm(bool(self.calm[clones].all()))
            groups.append(_Group(clones, swarm))
        return groups


def _cheapest(clones: Indices, own_d: Floats) -> list[Indices]:
    """Clones in groups, the fastest first, cut in two again and again where that saves enough."""
    order = clones[np.argsort(own_d[clones], kind="stable")]
    sorted_d = own_d[order]
    count = len(order)
    if count < 2 or not sorted_d[0] or sorted_d[-1] * (1.0 - _SAVING) < sorted_d[0]:
        return [np.sort(order)]
    sizes = np.arange(1, count)
    costs = (_FIXED + sizes) / sorted_d[0] + (_FIXED + count - sizes) / sorted_d[1:]
    best = int(costs.argmin())
    if costs[best] > (1.0 - _SAVING) * (_FIXED + count) / sorted_d[0]:
        return [np.sort(order)]
    return [*_cheapest(order[: best + 1], own_d), *_cheapest(order[best + 1 :], own_d)]


def _cost(clones: Indices, own_d: Floats) -> float:
    """Of a group, for each day."""
    return (_FIXED + len(clones)) / float(own_d[clones].min())
