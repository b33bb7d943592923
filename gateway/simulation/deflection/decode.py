# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request for a deflection to the question it asks, or a refusal that names every violated field."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.neo.units import J2000_TDB_JD, JULIAN_YEAR_D
from gateway.serving.errors import OutsideEphemeris
from gateway.serving.validation import Violations, check
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.deflection.impactor import Mass, delta_v_km_s
from gateway.simulation.deflection.question import Direction, Question
from gateway.simulation.objects import (
    MAX_DELTA_V_KM_S,
    REACH_AU,
    REACHES_WIDER,
    check_start,
    epoch_of,
    forces_of,
    mass_of_object,
    orbit_of,
    state_of,
)
from orrery.inference import v1

_MM_S_PER_KM_S = 1e6
_DEFAULT_PUSH_MM_S = 1.0
_DEFAULT_MAX_PUSH_MM_S = 1e4
_MAX_AFTER_EPOCH_D = 100 * JULIAN_YEAR_D


@dataclass(frozen=True, slots=True)
class Spacecraft:
    """What hits the object: which mass of it gives which push."""

    mass_kg: float
    push_mm_s: float
    target: Mass

    def mass_for_kg(self, push_mm_s: float) -> float:
        """With the same velocity and beta."""
        return self.mass_kg * push_mm_s / self.push_mm_s


def read_deflection(
    request: v1.EstimateDeflectionRequest, asteroid_kernel: Path | None
) -> tuple[Question, Spacecraft | None]:
    """The question that a request asks, and the spacecraft it has.

    Raises:
        InvalidRequest: naming every violated field.
        OutsideEphemeris: the window or the object's epoch is outside the kernels.
    """
    violations = Violations()
    check(request, violations)
    orbit = orbit_of(request.object, "object", violations) if request.object.WhichOneof("orbit") else None
    _check_window(request, violations)
    if request.body == v1.BODY_SUN:
        violations.add("body", "the Sun has no target plane")
    spacecraft, along = _push(request, violations)
    violations.raise_if_any()
    epoch_tdb_jd = epoch_of(request.object)
    _check_span(request, epoch_tdb_jd, asteroid_kernel)
    state = state_of(request.object, orbit)
    epoch_d = epoch_tdb_jd - J2000_TDB_JD
    check_start(state, epoch_d, "object", violations)
    violations.raise_if_any()
    body = Body(request.body or v1.BODY_EARTH)
    question = Question(
        epoch_d=epoch_d,
        state=state,
        forces=forces_of(request.object, request.fidelity, state, asteroid_kernel),
        body=body,
        window_d=(request.from_tdb_jd - J2000_TDB_JD, request.to_tdb_jd - J2000_TDB_JD),
        reach_au=REACH_AU * REACHES_WIDER.get(body, 1.0),
        lead_times_d=tuple(request.lead_time_d),
        along=along,
        push_mm_s=_push_mm_s(request, spacecraft),
        clearance_km=request.clearance_km if request.HasField("clearance_km") else None,
        max_push_mm_s=request.max_push_mm_s if request.HasField("max_push_mm_s") else _DEFAULT_MAX_PUSH_MM_S,
    )
    return question, spacecraft


def _push_mm_s(request: v1.EstimateDeflectionRequest, spacecraft: Spacecraft | None) -> float:
    if spacecraft is not None:
        return spacecraft.push_mm_s
    return request.push_mm_s if request.HasField("push_mm_s") else _DEFAULT_PUSH_MM_S


def _check_window(request: v1.EstimateDeflectionRequest, violations: Violations) -> None:
    epoch_tdb_jd, first, last = epoch_of(request.object), request.from_tdb_jd, request.to_tdb_jd
    if not np.isfinite([epoch_tdb_jd, first, last]).all():
        return
    if first < epoch_tdb_jd:
        violations.add("from_tdb_jd", f"must not be before the object's epoch, {epoch_tdb_jd:.17g}")
    if last <= first:
        violations.add("to_tdb_jd", "must be after from_tdb_jd")
    if last - epoch_tdb_jd > _MAX_AFTER_EPOCH_D:
        violations.add("to_tdb_jd", "must be at most 100 years after the object's epoch")


def _check_span(request: v1.EstimateDeflectionRequest, epoch_tdb_jd: float, asteroid_kernel: Path | None) -> None:
    span = ephemeris.span_tdb_jd(asteroid_kernel)
    # An encounter at the window's end is followed beyond it.
    if not span[0] <= request.to_tdb_jd <= span[1] - 1.0:
        raise OutsideEphemeris("to_tdb_jd", span)
    if not span[0] <= epoch_tdb_jd <= span[1] - 1.0:
        raise OutsideEphemeris(f"object.{request.object.WhichOneof('orbit')}.epoch_tdb_jd", span)


def _push(
    request: v1.EstimateDeflectionRequest, violations: Violations
) -> tuple[Spacecraft | None, "Direction | np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    if not request.HasField("impactor"):
        # An unknown number is noted already.
        known = {int(direction) for direction in Direction}
        return None, Direction(request.direction) if request.direction in known else Direction.TRANSVERSE
    for name in ("direction", "push_mm_s"):
        if getattr(request, name):
            violations.add(name, "is given by the impactor")
    given = request.impactor
    velocity = (given.vx_km_s, given.vy_km_s, given.vz_km_s)
    speed = float(np.linalg.norm(velocity))
    mass = mass_of_object(request.object.physical)
    if mass is None:
        violations.add("impactor", "needs an object with a mass, a diameter or an absolute magnitude")
    if speed == 0.0:
        violations.add("impactor.vx_km_s", "the velocity must not be 0")
    if mass is None or not mass.kg > 0.0 or not 0.0 < speed < np.inf:
        return None, Direction.TRANSVERSE
    beta = given.beta if given.HasField("beta") else 1.0
    delta_v = delta_v_km_s(mass.kg, given.mass_kg, velocity, beta)
    push_km_s = float(np.linalg.norm(delta_v))
    if not 0.0 < push_km_s <= MAX_DELTA_V_KM_S:
        violations.add(
            "impactor",
            f"would change the velocity of {mass.kg:.3g} kg by {push_km_s:.3g} km/s: more than 0, at most 100",
        )
        return None, Direction.TRANSVERSE
    return Spacecraft(given.mass_kg, push_km_s * _MM_S_PER_KM_S, mass), np.array(velocity) / speed
