# SPDX-License-Identifier: GPL-3.0-or-later
"""What an integrator did, as arrays: steps with their dense output.

IAS15 (Rein & Spiegel 2015, MNRAS 446, 1424) leaves the acceleration within a step as a polynomial of degree 7 in
h = (t - t_start) / dt, a(h) = a_0 + b_0 h + ... + b_6 h^7 (eq. 4); integrated once and twice it gives velocity and
position at every instant of the step (eqs. 8 and 9). Measured against integrating again from the start of each step,
through Apophis' encounter of 2029: 0.2 m at most, anywhere within any step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ORDER: Final = np.arange(8)
_VELOCITY_DIVISORS: Final = _ORDER + 1.0
_POSITION_DIVISORS: Final = (_ORDER + 1.0) * (_ORDER + 2.0)

# Chebyshev points of the first kind on (-1, 1) and their barycentric weights (Berrut & Trefethen 2004, SIAM Rev. 46,
# 501, eq. 5.3). What 16 of them leave of a degree 17, the radial rate of a step, shrinks by 8^17 in an eighth of it.
_ANGLES: Final = (2.0 * np.arange(16) + 1.0) * np.pi / 32.0
_POINTS: Final = np.cos(_ANGLES)
_WEIGHTS: Final = np.sin(_ANGLES) * (-1.0) ** np.arange(16)


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """K consecutive steps, forwards or backwards in time; barycentric ICRF, au and days.

    Attributes:
        time_d: (K + 1,) the knots, days of TDB since J2000.0.
        states: (K + 1, 6) positions and velocities at the knots.
        accelerations: (K, 8, 3) coefficients of the acceleration in h, lowest first, au/d^2.
    """

    time_d: Floats
    states: Floats
    accelerations: Floats

    def __len__(self) -> int:
        return len(self.accelerations)

    @property
    def direction(self) -> float:
        """1 forwards, -1 backwards."""
        return 1.0 if self.time_d[-1] >= self.time_d[0] else -1.0

    def at(self, time_d: Floats) -> Floats:
        """States at instants within the steps.

        Args:
            time_d: (N,) instants, each between the first knot and the last.

        Returns:
            (N, 6) au and au/d.
        """
        knots = self.time_d * self.direction
        index = np.clip(np.searchsorted(knots, time_d * self.direction, side="right") - 1, 0, len(self) - 1)
        start = self.time_d[index]
        dt = (self.time_d[index + 1] - start)[:, None]
        return advanced(self.states[index], self.accelerations[index], (time_d - start)[:, None], dt)

    def sampled(self, per_step: int) -> tuple[Floats, Floats]:
        """Instants spread evenly over each step, knots included, with their states.

        The states at the knots are the integrator's own, to the bit, so that consecutive `Steps` meet without a gap.

        Args:
            per_step: M, into how many parts each step is cut.

        Returns:
            (K M + 1,) times and (K M + 1, 6) states.
        """
        fractions = np.arange(per_step) / per_step
        times = self.time_d[:-1, None] + np.diff(self.time_d)[:, None] * fractions
        times = np.append(times.ravel(), self.time_d[-1])
        sampled = self.at(times)
        sampled[::per_step] = self.states
        return times, sampled

    def head(self, count: int) -> "Steps":
        """The first `count` steps."""
        return Steps(self.time_d[: count + 1], self.states[: count + 1], self.accelerations[:count])


def join(parts: Sequence[Steps]) -> Steps:
    """Consecutive steps as one; each part begins where the one before ended."""
    return Steps(
        np.concatenate([parts[0].time_d, *(part.time_d[1:] for part in parts[1:])]),
        np.concatenate([parts[0].states, *(part.states[1:] for part in parts[1:])]),
        np.concatenate([part.accelerations for part in parts]),
    )


def advanced(states: Floats, accelerations: Floats, elapsed_d: Floats, dt: Floats | float) -> Floats:
    """States within steps, by the integrator's own polynomials; leading axes are broadcast.

    Args:
        states: (..., 6) at the start of a step.
        accelerations: (..., 8, 3) coefficients of the acceleration in h.
        elapsed_d: (..., 1) time since the start.
        dt: the step's length, a number or (..., 1).
    """
    powers = (elapsed_d / dt) ** _ORDER
    gained = np.einsum("...k,...kc->...c", powers / _VELOCITY_DIVISORS, accelerations) * elapsed_d
    moved = np.einsum("...k,...kc->...c", powers / _POSITION_DIVISORS, accelerations) * elapsed_d**2
    position, velocity = states[..., :3], states[..., 3:]
    after: Floats = np.concatenate((position + velocity * elapsed_d + moved, velocity + gained), axis=-1)
    return after


def spread(low: float, high: float) -> Floats:
    """(16,) instants from which `between` interpolates anything smooth."""
    times: Floats = 0.5 * (low + high) + 0.5 * (high - low) * _POINTS
    return times


def between(times: Floats, values: Floats, at: Floats) -> Floats:
    """Interpolate.

    Args:
        times: (16,) from `spread`.
        values: (16, M) there.
        at: (M,) one instant for each column.
    """
    away = at - times[:, None]
    # On a point its own value must win; there the formula reads infinity by infinity.
    away[away == 0.0] = 1e-300
    weights = _WEIGHTS[:, None] / away
    interpolated: Floats = (weights * values).sum(axis=0) / weights.sum(axis=0)
    return interpolated


def interpolated(times: Floats, values: Floats, at: Floats) -> Floats:
    """As `between`, of a vector at every instant.

    Args:
        times: (16,) from `spread`.
        values: (16, C) there.
        at: (M,) instants.

    Returns:
        (M, C).
    """
    away = at - times[:, None]
    away[away == 0.0] = 1e-300
    weights = _WEIGHTS[:, None] / away
    vectors: Floats = weights.T @ values / weights.sum(axis=0)[:, None]
    return vectors
