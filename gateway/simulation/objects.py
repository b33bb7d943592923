# SPDX-License-Identifier: GPL-3.0-or-later
"""What every simulation reads of its object: where it is and when, what acts on it, what it weighs."""

import math
from pathlib import Path
from typing import Final

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from gateway.neo.elements import Orbits, to_states
from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import J2000_TDB_JD
from gateway.serving.errors import InvalidRequest, OutsideEphemeris
from gateway.serving.orbits import read_orbit
from gateway.serving.validation import Violations, check
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.branch import barycentric
from gateway.simulation.deflection.impactor import Mass, mass_of
from gateway.simulation.nbody import Fidelity, Forces, MarsdenLaw
from gateway.simulation.surfaces import body_around
from orrery.inference import v1

Floats = NDArray[np.float64]

REACH_AU: Final = 0.2
REACHES_WIDER: Final = {Body.JUPITER: 10.0, Body.SATURN: 10.0}
MAX_DELTA_V_KM_S: Final = 100.0
# ASSIST 1.2.3 crashes where an integration, there or back, begins at the kernel's very last instant.
_LAST_D: Final = 1e-3


def orbit_of(item: v1.NearEarthObject, path: str, violations: Violations) -> Orbits | None:
    """The object's orbit; None where anything was noted, here or before.

    Numbers out of bounds are noted already; the rules that join fields are for numbers within.
    """
    broken = Violations()
    check(item, broken)
    if len(broken):
        return None
    try:
        return read_orbit(item, violations, path)
    except InvalidRequest:
        # Everything it names is in the violations, which are raised together at the end.
        return None


def forces_of(item: v1.NearEarthObject, fidelity: int, state: Floats, asteroid_kernel: Path | None) -> Forces:
    """What acts on an object.

    Args:
        item: the object.
        fidelity: of the contract; 0 for FAST.
        state: (6,) heliocentric ecliptic at its epoch, as `state_of` gives it.
        asteroid_kernel: SPK file of the perturbing asteroids.
    """
    pushed = item.non_gravitational
    return Forces(
        fidelity=Fidelity(fidelity or v1.FIDELITY_FAST),
        a1_au_d2=pushed.a1_au_d2,
        a2_au_d2=pushed.a2_au_d2,
        a3_au_d2=pushed.a3_au_d2,
        asteroid_kernel=asteroid_kernel,
        without_asteroid=perturber_of(item, state, asteroid_kernel),
        marsden=marsden_of(pushed),
    )


def perturber_of(item: v1.NearEarthObject, state: Floats, asteroid_kernel: Path | None) -> int | None:
    """Which of the perturbing asteroids the object is itself, if it is one; arguments as those of `forces_of`."""
    if asteroid_kernel is None:
        return None
    return ephemeris.perturber_at(state, epoch_of(item) - J2000_TDB_JD, asteroid_kernel)


def marsden_of(pushed: v1.NonGravitational) -> MarsdenLaw | None:
    """How its accelerations fall with the distance from the Sun; None: with the inverse square."""
    if not pushed.HasField("marsden"):
        return None
    return MarsdenLaw(**{field.name: value for field, value in pushed.marsden.ListFields()})


def epoch_of(item: v1.NearEarthObject) -> float:
    """When the object is known, by a state or by elements."""
    return item.state.epoch_tdb_jd if item.WhichOneof("orbit") == "state" else item.elements.epoch_tdb_jd


def state_of(item: v1.NearEarthObject, orbit: Orbits | None) -> Floats:
    """(6,) heliocentric ecliptic: a state as it was given, to the last bit, rather than through elements."""
    if orbit is not None and item.WhichOneof("orbit") != "state":
        return two_body_state(orbit)
    given = item.state
    state: Floats = np.array([given.x_au, given.y_au, given.z_au, given.vx_au_d, given.vy_au_d, given.vz_au_d])
    if given.frame == v1.FRAME_ICRF:
        state = icrf_to_ecliptic(state)
    if given.origin == v1.ORIGIN_SOLAR_SYSTEM_BARYCENTER:
        at = np.array([given.epoch_tdb_jd - J2000_TDB_JD])
        state = state - icrf_to_ecliptic(ephemeris.states(Body.SUN, at)[0])
    return state


def two_body_state(orbit: Orbits) -> Floats:
    """(6,) heliocentric ecliptic, of one orbit."""
    state: Floats = to_states(orbit)[0]
    return state


def mass_of_object(physical: v1.PhysicalParameters) -> Mass | None:
    """The best that is said of an object's mass; not a number where a parameter breaks its bounds."""
    broken = Violations()
    check(physical, broken)
    if len(broken):
        # Each number is noted already; what would follow from them is nothing.
        return Mass(math.nan, "")
    names = ("mass_kg", "diameter_km", "density_kg_m3", "absolute_magnitude_h", "albedo")
    return mass_of(**{name: _set(physical, name) for name in names})


def _set(message: Message, name: str) -> float | None:
    value: float | None = getattr(message, name) if message.HasField(name) else None
    return value


def check_within(path: str, tdb_jd: float, asteroid_kernel: Path | None) -> None:
    """Refuse a time that the kernels do not cover.

    Raises:
        OutsideEphemeris: naming the path.
    """
    span = ephemeris.span_tdb_jd(asteroid_kernel)
    if not span[0] <= tdb_jd <= span[1] - _LAST_D:
        raise OutsideEphemeris(path, span)


def check_start(state: Floats, time_d: float, path: str, violations: Violations) -> None:
    """Note a heliocentric state that lies within a body."""
    if (body := body_around(barycentric(state, time_d), time_d)) is not None:
        violations.add(path, f"starts within the mean radius of {body.name}")
