# SPDX-License-Identifier: GPL-3.0-or-later
"""From the contract's messages to the columns that the science works on, with the rules that join fields.

Everything here expects messages that `gateway.serving.validation.check` has seen, and adds to the same `Violations`.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.neo import frames
from gateway.neo.earth_orbit import SPAN_TDB_JD, sun_barycentric_states
from gateway.neo.elements import Orbits, from_states
from gateway.neo.errors import InvalidOrbitError
from gateway.neo.units import GM_SUN_AU3_D2
from gateway.serving.bounds import PERIHELION_DISTANCE_AU, PERIHELION_TIME_TDB_JD
from gateway.serving.validation import Violations
from orrery.inference import v1

Floats = NDArray[np.float64]

# Pravec & Harris 2007, Icarus 190, 250, eq. 1: D/km = 1329 / sqrt(p) * 10^(-H/5), i.e. H = 15.618 - ...
_H_OF_1_KM_AND_ALBEDO_1 = 5 * np.log10(1329.0)

# Below it the elements of a state keep no digits.
_LEAST_SEMI_LATUS_RECTUM_AU = 1e-12

MODEL_COLUMNS: Final = 6
"""How many numbers of an object both models read: q (au), e, i, node, argument of perihelion (deg), H."""

_BODY: Final[tuple[Literal["mass_kg", "diameter_km", "density_kg_m3"], ...]] = (
    "mass_kg",
    "diameter_km",
    "density_kg_m3",
)
_BODY_TOLERANCE: Final = 0.1


def read_orbits(
    objects: Sequence[v1.NearEarthObject],
    violations: Violations,
    *,
    path: str = "objects",
    phase: bool = False,
) -> Orbits:
    """The orbits of some objects; read them last, for this refuses the request if anything was noted so far.

    Args:
        objects: N checked messages.
        violations: where broken rules are noted.
        path: of the list in the request.
        phase: refuse elements without a mean anomaly or a perihelion time.

    Returns:
        N orbits.

    Raises:
        InvalidRequest: a rule was broken, here or before.
    """
    return Orbits(*read_orbit_rows(objects, violations, path=path, phase=phase).T)


def read_orbit_rows(
    objects: Sequence[v1.NearEarthObject],
    violations: Violations,
    *,
    path: str = "objects",
    phase: bool = False,
) -> Floats:
    """The orbits of some objects as (N, 7) rows, columns in the order of the fields of `Orbits`; see `read_orbits`.

    For few objects at a time: making `Orbits` of one costs 100 us.
    """
    rows = [_orbit_row(item, violations, f"{path}[{row}]", phase=phase) for row, item in enumerate(objects)]
    violations.raise_if_any()
    return np.array(rows, dtype=np.float64)


def read_model_rows(objects: Sequence[v1.NearEarthObject], violations: Violations) -> Floats:
    """What is asked of the models, of some objects; read last, as `read_orbits`.

    Args:
        objects: N checked messages.
        violations: where broken rules are noted.

    Returns:
        (N, 7) q (au), e, i, node, argument of perihelion (deg), H: what both models read; and the epoch (TDB JD).

    Raises:
        InvalidRequest: a rule was broken, here or before.
    """
    magnitudes = read_absolute_magnitudes(objects, violations)
    rows = read_orbit_rows(objects, violations)
    # In place of the perihelion's time, which tells nothing of the orbit's shape.
    rows[:, 5] = magnitudes
    return rows


def read_orbit(item: v1.NearEarthObject, violations: Violations, path: str) -> Orbits:
    """The orbit of one object, with its phase; see `read_orbits`."""
    row = _orbit_row(item, violations, path, phase=True)
    violations.raise_if_any()
    return Orbits(*np.array([row], dtype=np.float64).T)


def read_absolute_magnitudes(
    objects: Sequence[v1.NearEarthObject], violations: Violations, *, path: str = "objects"
) -> Floats:
    """H of each object: given, or from diameter and albedo (Pravec & Harris 2007).

    Returns:
        (N,) magnitudes; NaN where H was neither given nor could be derived, which is noted.
    """
    magnitudes = np.full(len(objects), np.nan)
    for row, item in enumerate(objects):
        physical = item.physical
        if physical.HasField("absolute_magnitude_h"):
            magnitudes[row] = physical.absolute_magnitude_h
        elif physical.diameter_km > 0 and physical.albedo > 0:
            magnitudes[row] = absolute_magnitude(physical.diameter_km, physical.albedo)
        else:
            where = f"{path}[{row}].physical.absolute_magnitude_h"
            violations.add(where, "is required (or both diameter_km and albedo)")
    return magnitudes


def absolute_magnitude(diameter_km: float, albedo: float) -> float:
    """H of a body of this diameter and geometric albedo (Pravec & Harris 2007, Icarus 190, 250)."""
    return float(_H_OF_1_KM_AND_ALBEDO_1 - 2.5 * np.log10(albedo) - 5 * np.log10(diameter_km))


def check_body(physical: v1.PhysicalParameters, violations: Violations, path: str) -> None:
    """Note where mass, diameter and density are all given and contradict each other by more than a tenth.

    So much is lost where published values are rounded to two digits.

    Args:
        physical: checked; may be empty.
        violations: where the contradiction is noted, at each of the three fields.
        path: of the message.
    """
    if not all(physical.HasField(name) for name in _BODY):
        return
    volume_m3 = math.pi / 6.0 * (physical.diameter_km * 1e3) ** 3
    implied_kg_m3 = physical.mass_kg / volume_m3 if volume_m3 else math.inf
    if abs(implied_kg_m3 - physical.density_kg_m3) <= _BODY_TOLERANCE * physical.density_kg_m3:
        return
    for name in _BODY:
        others = " and ".join(other for other in _BODY if other != name)
        violations.add(
            f"{path}.{name}",
            f"contradicts {others}: mass and diameter make {implied_kg_m3:.4g} kg/m3, and {physical.density_kg_m3:g} is"
            " given; leave one of the three out",
        )


def _orbit_row(item: v1.NearEarthObject, violations: Violations, path: str, *, phase: bool) -> tuple[float, ...]:
    """One orbit as the fields of `Orbits`, in order."""
    check_body(item.physical, violations, f"{path}.physical")
    if item.WhichOneof("orbit") == "state":
        return _state_row(item.state, violations, f"{path}.state")
    return _elements_row(item.elements, violations, f"{path}.elements", phase=phase)


def _elements_row(elements: v1.OrbitalElements, violations: Violations, path: str, *, phase: bool) -> tuple[float, ...]:
    e = elements.eccentricity
    by_axis = elements.WhichOneof("size") == "semi_major_axis_au"
    by_anomaly = elements.WhichOneof("phase") == "mean_anomaly_deg"
    if e >= 1.0 and by_axis:
        violations.add(f"{path}.semi_major_axis_au", "contradicts eccentricity >= 1: give perihelion_distance_au")
    if e >= 1.0 and by_anomaly:
        violations.add(f"{path}.mean_anomaly_deg", "contradicts eccentricity >= 1: give perihelion_time_tdb_jd")
    if phase and elements.WhichOneof("phase") is None:
        violations.add_missing(path, elements.DESCRIPTOR.oneofs_by_name["phase"])
    q = elements.semi_major_axis_au * (1.0 - e) if by_axis else elements.perihelion_distance_au
    nearest, farthest = PERIHELION_DISTANCE_AU.low, PERIHELION_DISTANCE_AU.high
    if by_axis and elements.semi_major_axis_au > 0 and 0 <= e < 1 and not nearest <= q <= farthest:
        what = f"makes the perihelion distance {q:.6g} au, outside [{nearest:g}, {farthest:g}]"
        violations.add(f"{path}.eccentricity", what)
    if by_anomaly and not (0.0 <= e < 1.0 and nearest <= q <= farthest and math.isfinite(elements.mean_anomaly_deg)):
        return (1.0,) * 7
    shape = (
        q,
        e,
        elements.inclination_deg,
        elements.longitude_of_ascending_node_deg,
        elements.argument_of_perihelion_deg,
    )
    perihelion_time_tdb_jd = elements.perihelion_time_tdb_jd or elements.epoch_tdb_jd
    if by_anomaly:
        perihelion_time_tdb_jd = _perihelion_time_tdb_jd(q, e, elements.mean_anomaly_deg, elements.epoch_tdb_jd)
        if abs(perihelion_time_tdb_jd) > PERIHELION_TIME_TDB_JD.high:
            what = "puts the perihelion more than 1e8 days away: give perihelion_time_tdb_jd"
            violations.add(f"{path}.mean_anomaly_deg", what)
            return (1.0,) * 7
    return (*shape, perihelion_time_tdb_jd, elements.epoch_tdb_jd)


def _perihelion_time_tdb_jd(q: float, e: float, mean_anomaly_deg: float, epoch_tdb_jd: float) -> float:
    """The passage nearest to the epoch."""
    semi_major_axis_au = q / (1.0 - e)
    mean_motion_deg_d = math.degrees(math.sqrt(GM_SUN_AU3_D2 / semi_major_axis_au**3))
    return epoch_tdb_jd - (math.remainder(mean_anomaly_deg, 360.0) / mean_motion_deg_d)


def _state_row(state: v1.StateVector, violations: Violations, path: str) -> tuple[float, ...]:
    vector = np.array([[state.x_au, state.y_au, state.z_au, state.vx_au_d, state.vy_au_d, state.vz_au_d]])
    epoch = np.array([state.epoch_tdb_jd])
    if state.frame == v1.FRAME_ICRF:
        vector = frames.icrf_to_ecliptic(vector)
    if state.origin == v1.ORIGIN_SOLAR_SYSTEM_BARYCENTER:
        if not SPAN_TDB_JD[0] <= state.epoch_tdb_jd <= SPAN_TDB_JD[1]:
            low, high = SPAN_TDB_JD
            violations.add(f"{path}.epoch_tdb_jd", f"must be in [{low}, {high}] with a barycentric origin")
            return (1.0,) * 7
        vector = vector - sun_barycentric_states(epoch)
    momentum = np.cross(vector[0, :3], vector[0, 3:])
    if float(momentum @ momentum) / GM_SUN_AU3_D2 < _LEAST_SEMI_LATUS_RECTUM_AU:
        violations.add(path, "is no orbit: it stands still, or moves straight towards or away from the Sun")
        return (1.0,) * 7
    try:
        orbit = from_states(vector, epoch)
    except InvalidOrbitError as error:
        violations.add(path, f"makes no orbit to compute with: {error}")
        return (1.0,) * 7
    return tuple(float(getattr(orbit, field.name)[0]) for field in dataclasses.fields(orbit))
