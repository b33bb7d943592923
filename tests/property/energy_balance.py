# SPDX-License-Identifier: GPL-3.0-or-later
"""The energy of an object in the field of the moving Sun, and the work that changes it, by formulas of its own.

E = v^2 / 2 - GM / r with the barycentric velocity v and the distance r from the Sun; in a time it gains the work of
all other forces, and -GM (r . V) / r^3 for the Sun's own velocity V. The Sun's acceleration does not enter: DE440's
holds the pull of asteroids and of the Kuiper belt, which nothing here knows.
"""

from dataclasses import dataclass

import numpy as np

from gateway.neo.units import AU_KM, DAY_S, GM_SUN_AU3_D2, LIGHT_SPEED_KM_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.nbody import Fidelity

KM3_S2 = DAY_S**2 / AU_KM**3
LIGHT2_AU2_D2 = (LIGHT_SPEED_KM_S * DAY_S / AU_KM) ** 2
PLANETS = {body: PROPERTIES[body].gm_km3_s2 * KM3_S2 for body in Body if body is not Body.SUN}

# DE440's (Park et al. 2021, AJ 161, 105, tables 2 and 9), rounded up: GM of Pluto's system, and of Earth and of the Sun
# J2 and the radius that goes with it. J3 and J4 of Earth are a four-hundredth of its J2.
PLUTO_GM = 976.0 * KM3_S2
PLUTO_AU = 23.0  # nearer than that it is to no object within 6 au of the Sun
EARTH_J2, EARTH_RADIUS_AU = 1.083e-3 * 1.01, 6_378.14 / AU_KM
SUN_J2, SUN_RADIUS_AU = 2.2e-7, 696_000.0 / AU_KM


@dataclass(frozen=True)
class Balance:
    """Of one integration; all in shares of the greatest kinetic energy on the way.

    Attributes:
        left_over: the energy gained less the work of the planets and of the Sun's relativity.
        quadrature: by how much the work changes when every second instant is left out.
        forces: at most the work of the forces that the model leaves out.
    """

    left_over: float
    quadrature: float
    forces: float


def sun_relativity(relative):
    """(N, 3) the Sun's first post-Newtonian pull on heliocentric states (Moyer 2003, JPL DESCANSO 2, eq. 4-26)."""
    position, velocity = relative[:, :3], relative[:, 3:]
    radius = length(position)[:, None]
    along = np.einsum("ij,ij->i", position, velocity)[:, None]
    brackets = (4.0 * GM_SUN_AU3_D2 / radius - length(velocity)[:, None] ** 2) * position + 4.0 * along * velocity
    return GM_SUN_AU3_D2 / (LIGHT2_AU2_D2 * radius**3) * brackets


def planets_pull(states, bodies):
    """(N, 3) what the planets and the Moon do by Newton's law, those of `bodies`."""
    pull = np.zeros((len(states), 3))
    for body, place in bodies.items():
        apart = place[:, :3] - states[:, :3]
        pull += PLANETS[body] * apart / length(apart)[:, None] ** 3
    return pull


def left_out(states, bodies, fidelity):
    """(N,) at most the acceleration by what `planets_pull` and `sun_relativity` leave out, au/d^2."""
    from_earth, from_sun = (length(states[:, :3] - bodies[body][:, :3]) for body in (Body.EARTH, Body.SUN))
    # The pull of an oblate body differs from that of a point by 3 J2 GM R^2 / d^4 above its pole, by half as much above
    # its equator.
    bound = 3.0 * EARTH_J2 * PLANETS[Body.EARTH] * EARTH_RADIUS_AU**2 / from_earth**4
    bound += 3.0 * SUN_J2 * GM_SUN_AU3_D2 * SUN_RADIUS_AU**2 / from_sun**4
    bound += PLUTO_GM / PLUTO_AU**2
    return bound if fidelity is Fidelity.FAST else bound + other_relativity(states, bodies)


def other_relativity(states, bodies):
    """(N,) at most what eq. 4-26 for all bodies has beyond `sun_relativity`: its terms one by one, without signs."""
    speed = length(states[:, 3:])
    gm = {Body.SUN: GM_SUN_AU3_D2, **PLANETS}
    distance = {body: length(bodies[body][:, :3] - states[:, :3]) for body in gm}
    at_object = sum(gm[body] / distance[body] for body in gm)
    total = np.zeros(len(states))
    for body, gm_of_body in gm.items():
        others = {one: length(bodies[one][:, :3] - bodies[body][:, :3]) for one in gm if one is not body}
        at_body = sum(gm[one] / apart for one, apart in others.items())
        accelerated = distance[body] * sum(gm[one] / apart**2 for one, apart in others.items())
        body_speed = length(bodies[body][:, 3:])
        # Potentials; then v^2 + 2 V^2 + 4 v V + 1.5 V^2 and (4 v + 3 V) (v + V); then the accelerations of the bodies.
        if body is Body.SUN:
            # `sun_relativity` has what is of the Sun's potential and of v^2, relative to the Sun.
            terms = 4.0 * (at_object - GM_SUN_AU3_D2 / distance[body]) + at_body + 4.0 * accelerated
            terms = terms + 4.0 * (speed + body_speed) * body_speed
        else:
            terms = 4.0 * at_object + at_body + 4.0 * accelerated
            terms = terms + 5.0 * speed**2 + 11.0 * speed * body_speed + 6.5 * body_speed**2
        total += gm_of_body / distance[body] ** 2 * terms
    return total / LIGHT2_AU2_D2


def balance(steps, fidelity, without=None):
    """What was gained against the work, by Simpson's rule on the 64ths of each step.

    Args:
        steps: of the integration.
        fidelity: its own.
        without: a body to leave out of the model: a planet, or the Sun's relativity.
    """
    times, states = steps.sampled(64)
    bodies = ephemeris.states_of_many(Body, times)
    relative = states - bodies[Body.SUN]
    radius, speed = length(relative[:, :3]), length(states[:, 3:])
    kinetic = 0.5 * speed**2
    energy = kinetic - GM_SUN_AU3_D2 / radius
    pull = planets_pull(states, {body: bodies[body] for body in PLANETS if body is not without})
    if without is not Body.SUN:
        pull += sun_relativity(relative)
    power = np.einsum("ij,ij->i", pull, states[:, 3:])
    power -= GM_SUN_AU3_D2 / radius**3 * np.einsum("ij,ij->i", relative[:, :3], bodies[Body.SUN][:, 3:])
    work, coarser = (simpson(power[::stride], times[::stride]) for stride in (1, 2))
    scale = float(kinetic.max())
    forces = abs(simpson(left_out(states, bodies, fidelity) * speed, times))
    return Balance((energy[-1] - energy[0] - work) / scale, abs(work - coarser) / scale, forces / scale)


def simpson(values, times):
    """The integral over pairs of equal intervals."""
    thirds = (values[:-2:2] + 4.0 * values[1:-1:2] + values[2::2]) / 3.0
    return float(np.sum(thirds * (times[2::2] - times[:-2:2]) / 2.0))


def length(vectors):
    """(N,) of (N, 3)."""
    return np.linalg.norm(vectors, axis=1)
