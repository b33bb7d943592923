# SPDX-License-Identifier: GPL-3.0-or-later
"""What an integrator's steps leave, step by step: each against the same step in quarters.

IAS15 is of order 15: a quarter of a step leaves 4^-15 of what the step leaves, so the difference is the step's own
error (Hairer, Norsett & Wanner 1993, Solving Ordinary Differential Equations I, II.4), rounding included. The errors of
all steps, each carried to where it is asked for, add up to the error of the whole (ibid., II.3, "Lady Windermere's
fan").
"""

import numpy as np

from gateway.neo.elements import from_states, to_states
from gateway.neo.frames import ecliptic_to_icrf, icrf_to_ecliptic
from gateway.neo.units import GM_SUN_AU3_D2, J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Integrator

# Times are counted from an origin at most 256 days away (decision 6): half of their last bit.
CLOCK_D = 2.0**-46
# Differences are carried as large as this, au and au/d, where neither rounding nor curvature matters.
CARRIED_SIZE = 1e-7


def step_errors(steps, forces):
    """(K, 6) how far each step ends from where its quarters end, au and au/d."""
    errors = np.empty((len(steps), 6))
    for row, (start_d, end_d) in enumerate(zip(steps.time_d, steps.time_d[1:], strict=False)):
        integrator = Integrator(steps.states[row], start_d, forces)
        for quarter in range(1, 5):
            integrator.advance(start_d + 0.25 * quarter * (end_d - start_d), max_steps=1_000)
        errors[row] = steps.states[row + 1] - integrator.state
    return errors


def rounding(steps):
    """Twice (K, 6): at most what float64 leaves of each new position and of each new velocity."""
    bits = np.finfo(float).eps * np.abs(steps.states[1:])
    position, velocity = np.zeros_like(bits), np.zeros_like(bits)
    position[:, :3] = bits[:, :3] + CLOCK_D * np.abs(steps.states[1:, 3:])
    velocity[:, 3:] = bits[:, 3:]
    return position, velocity


def carried(errors, states, time_d, to_d):
    """(K, 6) errors of barycentric states at `time_d`, taken along the ellipses of the states to another time."""
    relative = icrf_to_ecliptic(states - ephemeris.states(Body.SUN, time_d))
    size = np.linalg.norm(errors, axis=1)[:, None]
    scale = CARRIED_SIZE / np.where(size > 0.0, size, 1.0)
    epoch, to = time_d + J2000_TDB_JD, to_d + J2000_TDB_JD
    moved = from_states(relative + scale * icrf_to_ecliptic(errors), epoch)
    return ecliptic_to_icrf(to_states(moved, to) - to_states(from_states(relative, epoch), to)) / scale


def energy_share(errors, steps):
    """(K,) the energy of the errors, by size, in shares of the greatest kinetic energy on the way."""
    relative = steps.states[1:] - ephemeris.states(Body.SUN, steps.time_d[1:])
    radius = np.linalg.norm(relative[:, :3], axis=1)
    energy = np.einsum("ij,ij->i", steps.states[1:, 3:], errors[:, 3:])
    energy += GM_SUN_AU3_D2 * np.einsum("ij,ij->i", relative[:, :3], errors[:, :3]) / radius**3
    return np.abs(energy) / (0.5 * np.sum(steps.states[:, 3:] ** 2, axis=1).max())
