# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to a `Scenario`, or a refusal that names every violated field."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.elements import Orbits
from gateway.neo.units import AU_KM, J2000_TDB_JD
from gateway.serving.errors import InvalidRequest
from gateway.serving.orbits import read_orbit
from gateway.serving.validation import Violations, check
from gateway.simulation.bodies import DEFAULT_REPORTED, PROPERTIES, Body
from gateway.simulation.deflection.impactor import Mass, delta_v_km_s, mass_of
from gateway.simulation.encode import elements_message
from gateway.simulation.objects import (
    MAX_DELTA_V_KM_S,
    REACH_AU,
    REACHES_WIDER,
    check_start,
    check_within,
    epoch_of,
    forces_of,
    mass_of_object,
    orbit_of,
    state_of,
    two_body_state,
)
from gateway.simulation.scenario import Push, PushAxes, Sampling, Scenario
from orrery.inference import v1

Floats = NDArray[np.float64]

_BODIES: Final = {int(body) for body in Body}
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
        changed_state = baseline if changed is None else two_body_state(changed[1])
        if changed is not None:
            check_start(changed_state, start_d, changed[0], violations)
    violations.raise_if_any()
    return Scenario(
        epoch_d=start_d,
        baseline_state=baseline,
        changed_state=changed_state,
        pushes=tuple(pushes),
        duration_d=asked.duration_days,
        forces=forces_of(asked.object, asked.fidelity, baseline, asteroid_kernel),
        limits_au=_limits_au(asked.output, bodies),
        trajectory_points=asked.output.trajectory_points,
        sampling=Sampling(asked.output.sampling or v1.SAMPLING_EVEN),
        check_round_trip=asked.output.check_round_trip,
        notes=_notes(asked, mass, orbit, None if changed is None else changed[1]),
    )


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
