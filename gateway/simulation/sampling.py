# SPDX-License-Identifier: GPL-3.0-or-later
"""Which points of a branch's way make up its trajectory.

Both samplers are told the start, then every stretch of steps, then that the branch is done, and each time say which
points are ready: (N,) times, days of TDB since J2000.0, and (N, 6) barycentric ICRF states.
"""

from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.steps import Steps

Floats = NDArray[np.float64]
Points: TypeAlias = tuple[Floats, Floats]

# The ends of steps meet the instants they aim at to 1e-9 d.
_SAME_INSTANT_D: Final = 2e-9
_PARTS_PER_STEP: Final = 8
# How many candidates are kept for each point, at least and at most.
_FEWEST, _MOST = 4, 8


class Sampler(Protocol):
    """Chooses points."""

    def start(self, state: Floats, time_d: float) -> Points:
        """Told the first state, of shape (6,)."""

    def add(self, steps: Steps, end_d: float) -> Points:
        """Told what was just covered: some steps, up to `end_d` within them."""

    def finish(self) -> Points:
        """Told that nothing more comes."""


class EvenSampler:
    """Points evenly spaced in time, both ends included; ready as soon as they are passed."""

    def __init__(self, start_d: float, end_d: float, count: int) -> None:
        self._times = np.linspace(start_d, end_d, count)

    def start(self, state: Floats, time_d: float) -> Points:
        """The first point."""
        return (np.array([time_d]), state[None]) if len(self._times) else _nothing()

    def add(self, steps: Steps, end_d: float) -> Points:
        """The points after the first knot, up to where the branch is."""
        ahead = (self._times - steps.time_d[0]) * steps.direction > _SAME_INSTANT_D
        behind = (self._times - end_d) * steps.direction <= _SAME_INSTANT_D
        times = self._times[ahead & behind]
        return (times, steps.at(times)) if len(times) else _nothing()

    def finish(self) -> Points:
        """All are out already."""
        return _nothing()


class AdaptiveSampler:
    """Points evenly spaced in s, ds = dt / min(r / v) over Sun, planets and Moon; ready when the branch is done.

    What s will be at the end is not known on the way: candidates are kept at a spacing that doubles whenever they
    become too many, and the points are chosen from 4 to 8 times as many, so that s is even to an eighth.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._times: Floats = np.empty(0)
        self._states: Floats = np.empty((0, 6))
        self._last: Points = _nothing()
        self._spacing = 0.0
        # s since the last candidate.
        self._since = 0.0

    def start(self, state: Floats, time_d: float) -> Points:
        """The first candidate, which stays."""
        self._times, self._states = np.array([time_d]), state[None]
        return _nothing()

    def add(self, steps: Steps, end_d: float) -> Points:
        """More candidates."""
        fine = steps.sampled(_PARTS_PER_STEP)[0]
        fine = np.append(fine[(end_d - fine) * steps.direction > 0.0], end_d)
        states = steps.at(fine)
        rate_per_d = inverse_time_scale_per_d(states, fine)
        pieces = 0.5 * (rate_per_d[1:] + rate_per_d[:-1]) * np.abs(np.diff(fine))
        s = np.concatenate(([0.0], np.cumsum(pieces)))
        self._last = fine[-1:], states[-1:]
        if s[-1] <= 0.0:
            return _nothing()
        self._spacing = self._spacing or s[-1] / (_FEWEST * self._count)
        while len(self._times) + (self._since + s[-1]) / self._spacing > _MOST * self._count:
            self._double_spacing()
        new = int((self._since + s[-1]) / self._spacing)
        times = np.interp(self._spacing * np.arange(1, new + 1) - self._since, s, fine)
        self._times = np.concatenate((self._times, times))
        self._states = np.concatenate((self._states, steps.at(times)))
        self._since += s[-1] - new * self._spacing
        return _nothing()

    def finish(self) -> Points:
        """All points; fewer than asked for only where the branch covers no time."""
        times, states = self._times, self._states
        if len(self._last[0]) and abs(self._last[0][0] - times[-1]) > _SAME_INSTANT_D:
            times, states = np.concatenate((times, self._last[0])), np.concatenate((states, self._last[1]))
        chosen = np.unique(np.linspace(0, len(times) - 1, self._count).round().astype(np.intp))
        return times[chosen], states[chosen]

    def _double_spacing(self) -> None:
        if len(self._times) % 2 == 0:
            self._since += self._spacing
        self._times, self._states = self._times[::2], self._states[::2]
        self._spacing *= 2.0


def inverse_time_scale_per_d(states: Floats, time_d: Floats) -> Floats:
    """(N,) the greatest v / r relative to Sun, planets and Moon at N barycentric ICRF states (N, 6)."""
    rates = []
    for body_states in ephemeris.states_of_many(Body, time_d).values():
        relative = states - body_states
        rates.append(np.linalg.norm(relative[:, 3:], axis=1) / np.linalg.norm(relative[:, :3], axis=1))
    greatest: Floats = np.max(rates, axis=0)
    return greatest


def _nothing() -> Points:
    return np.empty(0), np.empty((0, 6))
