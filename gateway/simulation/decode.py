# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to a `Scenario`, or a refusal that names every violated field."""

import math
from pathlib import Path
from typing import Final

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from gateway.neo.elements import Orbits, to_states
from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import AU_KM, J2000_TDB_JD
from gateway.serving.errors import InvalidRequest, OutsideEphemeris
from gateway.serving.orbits import read_orbit
from gateway.serving.validation import Violations, check
from gateway.simulation import ephemeris
from gateway.simulation.bodies import DEFAULT_REPORTED, PROPERTIES, Body, Planet
from gateway.simulation.branch import barycentric
from gateway.simulation.deflection.impactor import Mass, delta_v_km_s, mass_of
from gateway.simulation.encode import elements_message
from gateway.simulation.encounters import body_around
from gateway.simulation.nbody import Fidelity, Forces
from gateway.simulation.scenario import Push, PushAxes, Sampling, Scenario
from orrery.inference import v1

Floats = NDArray[np.float64]

_BODIES: Final = {int(body) for body in Body}
_PLANETS: Final = {int(planet) for planet in Planet}
REACH_AU: Final = 0.2
REACHES_WIDER: Final = {Body.JUPITER: 10.0, Body.SATURN: 10.0}
MAX_DELTA_V_KM_S: Final = 100.0
# ASSIST 1.2.3 crashes where an integration, there or back, begins at the kernel's very last instant.
_LAST_D: Final = 1e-3
_SUNGRAZER_NOTE: Final = "the perihelion lies inside the Sun: the object is followed until it hits it"
_MASS_NOTE: Final = "a mass does not change the orbit measurably; it scales what impactors do"


def read_scenario(request: v1.SimulateRequest, asteroid_kernel: Path | None) -> Scenario:
    """The question that a request asks.

    Args:
        request: as it came.
        asteroid_kernel: what the pod was given.

    Raises:
        InvalidRequest: naming every violated field.
        OutsideEphemeris: the object's epoch, or the end, is outside the kernels.
    """
    violations = Violations()
    check(request, violations)
    asked = request.scenario
    _check_at_most_one(asked, "elements", violations)
    _check_at_most_one(asked, "mass", violations)
    bodies = _bodies(asked.output, violations)
    changed = _changed_orbit(asked, violations)
    mass = _mass(asked)
    epoch_tdb_jd = epoch_of(asked.object)
    pushes = [
        push
        for row, change in enumerate(asked.changes)
        if (push := _push(change, mass, f"scenario.changes[{row}]", violations)) is not None
    ]
    _check_times(asked, epoch_tdb_jd, violations)
    violations.raise_if_any()
    orbit = read_orbit(asked.object, violations, "scenario.object")
    _check_span(asked, epoch_tdb_jd, asteroid_kernel)

    baseline = state_of(asked.object, orbit)
    start_d = epoch_tdb_jd - J2000_TDB_JD
    check_start(baseline, start_d, "scenario.object", violations)
    changed_state = None
    if asked.changes:
        changed_state = baseline if changed is None else _two_body_state(changed[1])
        if changed is not None:
            check_start(changed_state, start_d, changed[0], violations)
    violations.raise_if_any()
    return Scenario(
        epoch_d=start_d,
        baseline_state=baseline,
        changed_state=changed_state,
        pushes=tuple(pushes),
        duration_d=asked.duration_days,
        forces=forces_of(asked.object, asked.fidelity, asteroid_kernel),
        limits_au=_limits_au(asked.output, bodies),
        trajectory_points=asked.output.trajectory_points,
        sampling=Sampling(asked.output.sampling or v1.SAMPLING_EVEN),
        check_round_trip=asked.output.check_round_trip,
        notes=_notes(asked, mass, orbit, None if changed is None else changed[1]),
    )


def read_planets(request: v1.ComputeMoidRequest, violations: Violations) -> list[Planet]:
    """The planets that a request names, Earth where it names none."""
    planets: list[Planet] = []
    for row, number in enumerate(request.planets):
        if number not in _PLANETS:
            violations.add(f"planets[{row}]", "must name a planet")
        elif (planet := Planet(number)) in planets:
            violations.add(f"planets[{row}]", f"{planet.name} is named twice")
        else:
            planets.append(planet)
    return planets or [Planet.EARTH]


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


def forces_of(item: v1.NearEarthObject, fidelity: int, asteroid_kernel: Path | None) -> Forces:
    """What acts on an object."""
    pushed = item.non_gravitational
    return Forces(
        fidelity=Fidelity(fidelity or v1.FIDELITY_FAST),
        a1_au_d2=pushed.a1_au_d2,
        a2_au_d2=pushed.a2_au_d2,
        a3_au_d2=pushed.a3_au_d2,
        asteroid_kernel=asteroid_kernel,
    )


def epoch_of(item: v1.NearEarthObject) -> float:
    """When the object is known, by a state or by elements."""
    return item.state.epoch_tdb_jd if item.WhichOneof("orbit") == "state" else item.elements.epoch_tdb_jd


def state_of(item: v1.NearEarthObject, orbit: Orbits | None) -> Floats:
    """(6,) heliocentric ecliptic: a state as it was given, to the last bit, rather than through elements."""
    if orbit is not None and item.WhichOneof("orbit") != "state":
        return _two_body_state(orbit)
    given = item.state
    state: Floats = np.array([given.x_au, given.y_au, given.z_au, given.vx_au_d, given.vy_au_d, given.vz_au_d])
    if given.frame == v1.FRAME_ICRF:
        state = icrf_to_ecliptic(state)
    if given.origin == v1.ORIGIN_SOLAR_SYSTEM_BARYCENTER:
        at = np.array([given.epoch_tdb_jd - J2000_TDB_JD])
        state = state - icrf_to_ecliptic(ephemeris.states(Body.SUN, at)[0])
    return state


def _two_body_state(orbit: Orbits) -> Floats:
    state: Floats = to_states(orbit)[0]
    return state


def _changed_orbit(asked: v1.Scenario, violations: Violations) -> tuple[str, Orbits] | None:
    """The orbit with the overridden elements, and the path of what overrides them; the object's own is checked too."""
    kind = asked.object.WhichOneof("orbit")
    orbit = orbit_of(asked.object, "scenario.object", violations) if kind else None
    rows = [row for row, change in enumerate(asked.changes) if change.WhichOneof("change") == "elements"]
    if not rows or (kind == "state" and orbit is None) or kind is None:
        return None
    path = f"scenario.changes[{rows[0]}]"
    merged = v1.OrbitalElements()
    merged.CopyFrom(asked.object.elements if orbit is None or kind == "elements" else elements_message(orbit))
    for field, value in asked.changes[rows[0]].elements.ListFields():
        setattr(merged, field.name, value)
    noted = Violations()
    changed = orbit_of(v1.NearEarthObject(elements=merged), path, noted)
    _blame_the_given(asked.changes[rows[0]].elements, f"{path}.elements", noted, violations)
    return None if changed is None else (f"{path}.elements", changed)


def _blame_the_given(given: v1.ElementOverride, path: str, noted: Violations, violations: Violations) -> None:
    """Add what was noted of an overridden orbit; a perihelion moved by a new size is that size's fault.

    Elements that are missing keep their own paths: they are to be given.
    """
    try:
        noted.raise_if_any()
    except InvalidRequest as refusal:
        for violation in refusal.violations:
            by_size = violation.path.endswith(".eccentricity") and not given.HasField("eccentricity")
            violations.add(f"{path}.semi_major_axis_au" if by_size else violation.path, violation.description)


def _bodies(output: v1.OutputOptions, violations: Violations) -> list[Body]:
    for row, number in enumerate(output.bodies):
        if number == v1.BODY_UNSPECIFIED:
            violations.add(f"scenario.output.bodies[{row}]", "must name a body")
    return [Body(number) for number in output.bodies if number in _BODIES] or list(DEFAULT_REPORTED)


def _limits_au(output: v1.OutputOptions, bodies: list[Body]) -> dict[Body, float]:
    limit = output.max_distance_au if output.HasField("max_distance_au") else REACH_AU
    return {body: limit * REACHES_WIDER.get(body, 1.0) for body in bodies}


def _mass(asked: v1.Scenario) -> Mass | None:
    for change in asked.changes:
        if change.WhichOneof("change") == "mass":
            return mass_of(mass_kg=change.mass.mass_kg)
    return mass_of_object(asked.object.physical)


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


def _push(change: v1.Change, mass: Mass | None, path: str, violations: Violations) -> Push | None:
    kind = change.WhichOneof("change")
    if kind == "impulse":
        given = change.impulse
        delta_v = (given.radial_km_s, given.transverse_km_s, given.normal_km_s)
        return Push(given.time_tdb_jd - J2000_TDB_JD, delta_v, PushAxes.RADIAL_TRANSVERSE_NORMAL)
    if kind == "ecliptic_impulse":
        fixed = change.ecliptic_impulse
        return Push(fixed.time_tdb_jd - J2000_TDB_JD, (fixed.x_km_s, fixed.y_km_s, fixed.z_km_s), PushAxes.ECLIPTIC)
    if kind != "impactor":
        return None
    impactor = change.impactor
    if mass is None:
        violations.add(f"{path}.impactor", "needs an object with a mass, a diameter or an absolute magnitude")
        return None
    if not mass.kg > 0.0:
        return None
    velocity = (impactor.vx_km_s, impactor.vy_km_s, impactor.vz_km_s)
    beta = impactor.beta if impactor.HasField("beta") else 1.0
    delta_v = delta_v_km_s(mass.kg, impactor.mass_kg, velocity, beta)
    if max(abs(component) for component in delta_v) > MAX_DELTA_V_KM_S:
        violations.add(
            f"{path}.impactor",
            f"would change the velocity of {mass.kg:.3g} kg by more than {MAX_DELTA_V_KM_S:g} km/s",
        )
    return Push(impactor.time_tdb_jd - J2000_TDB_JD, delta_v, PushAxes.ECLIPTIC)


def _check_at_most_one(asked: v1.Scenario, kind: str, violations: Violations) -> None:
    rows = [row for row, change in enumerate(asked.changes) if change.WhichOneof("change") == kind]
    for row in rows[1:]:
        violations.add(f"scenario.changes[{row}].{kind}", "may be given once in a scenario")


def _check_times(asked: v1.Scenario, epoch_tdb_jd: float, violations: Violations) -> None:
    ends = sorted((epoch_tdb_jd, epoch_tdb_jd + asked.duration_days))
    for row, change in enumerate(asked.changes):
        kind = change.WhichOneof("change")
        if kind in {"impulse", "ecliptic_impulse", "impactor"}:
            time_tdb_jd = getattr(change, kind).time_tdb_jd
            if np.isfinite(ends).all() and not ends[0] <= time_tdb_jd <= ends[1]:
                violations.add(
                    f"scenario.changes[{row}].{kind}.time_tdb_jd",
                    f"must lie within the scenario, {ends[0]:.17g} to {ends[1]:.17g}",
                )


def _check_span(asked: v1.Scenario, epoch_tdb_jd: float, asteroid_kernel: Path | None) -> None:
    check_within("scenario.duration_days", epoch_tdb_jd + asked.duration_days, asteroid_kernel)
    check_within(f"scenario.object.{asked.object.WhichOneof('orbit')}.epoch_tdb_jd", epoch_tdb_jd, asteroid_kernel)


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


def _notes(asked: v1.Scenario, mass: Mass | None, *orbits: Orbits | None) -> tuple[str, ...]:
    kinds = {change.WhichOneof("change") for change in asked.changes}
    notes = []
    if "mass" in kinds:
        notes.append(_MASS_NOTE)
    if "impactor" in kinds and mass is not None:
        notes.append(f"impactors push a mass of {mass.kg:.4g} kg: {mass.source}")
    sun_au = PROPERTIES[Body.SUN].mean_radius_km / AU_KM
    if any(orbit is not None and orbit.perihelion_distance_au[0] < sun_au for orbit in orbits):
        notes.append(_SUNGRAZER_NOTE)
    return tuple(notes)
