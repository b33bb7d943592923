# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the simulation says to the contract's messages. No message holds a number that is not finite."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from gateway.neo.elements import Orbits, from_states
from gateway.neo.errors import InvalidOrbitError
from gateway.neo.units import J2000_TDB_JD
from gateway.simulation.differences import encounter_differences
from gateway.simulation.encounters import Approach
from gateway.simulation.entry import ALTITUDE_KM, Entry
from gateway.simulation.scenario import (
    Branch,
    BranchOutcome,
    Outcome,
    ProgressReport,
    Scenario,
    Sighting,
    TrajectoryPiece,
    Update,
)
from orrery.inference import v1

Floats = NDArray[np.float64]


def elements_message(orbit: Orbits) -> v1.OrbitalElements:
    """One orbit: by semi-major axis and mean anomaly if it is closed, else by perihelion distance and time."""
    message = v1.OrbitalElements(
        epoch_tdb_jd=orbit.epoch_tdb_jd[0],
        eccentricity=orbit.eccentricity[0],
        inclination_deg=orbit.inclination_deg[0],
        longitude_of_ascending_node_deg=orbit.longitude_of_ascending_node_deg[0],
        argument_of_perihelion_deg=orbit.argument_of_perihelion_deg[0],
    )
    if orbit.eccentricity[0] < 1.0:
        message.semi_major_axis_au = orbit.semi_major_axis_au[0]
        message.mean_anomaly_deg = orbit.mean_anomaly_deg[0] % 360.0
    else:
        message.perihelion_distance_au = orbit.perihelion_distance_au[0]
        message.perihelion_time_tdb_jd = orbit.perihelion_time_tdb_jd[0]
    return message


def state_message(state: Floats, time_d: float) -> v1.StateVector:
    """A heliocentric ecliptic state of shape (6,)."""
    names = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")
    return v1.StateVector(
        epoch_tdb_jd=time_d + J2000_TDB_JD,
        frame=v1.FRAME_ECLIPTIC_J2000,
        origin=v1.ORIGIN_SUN,
        **dict(zip(names, (float(value) for value in state), strict=True)),
    )


def approach_message(approach: Approach, branch: Branch, entry: Entry | None) -> v1.CloseApproach:
    """One encounter, with the entry into Earth's atmosphere that it brings."""
    message = v1.CloseApproach(
        body=v1.Body.ValueType(approach.body),
        time_tdb_jd=approach.time_d + J2000_TDB_JD,
        distance_km=approach.distance_km,
        distance_au=approach.distance_au,
        relative_velocity_km_s=approach.relative_velocity_km_s or 0.0,
        branch=v1.Branch.ValueType(branch),
    )
    if approach.hyperbola is not None:
        message.v_infinity_km_s = approach.hyperbola.v_infinity_km_s
        if plane := approach.hyperbola.plane:
            message.b_plane.xi_km = plane.xi_km
            message.b_plane.zeta_km = plane.zeta_km
            message.b_plane.impact_parameter_km = plane.impact_parameter_km
            message.b_plane.capture_radius_km = plane.capture_radius_km
    if approach.impact is not None:
        message.impact.time_tdb_jd = approach.impact.time_d + J2000_TDB_JD
        message.impact.relative_velocity_km_s = approach.impact.relative_velocity_km_s
    if entry is not None:
        message.entry.CopyFrom(entry_message(entry))
    return message


def entry_message(entry: Entry) -> v1.AtmosphericEntry:
    """Where it enters Earth's atmosphere."""
    return v1.AtmosphericEntry(
        time_tdb_jd=entry.time_d + J2000_TDB_JD,
        latitude_deg=entry.latitude_deg,
        longitude_deg=entry.longitude_deg,
        altitude_km=ALTITUDE_KM,
        speed_km_s=entry.speed_km_s,
        speed_in_atmosphere_km_s=entry.speed_in_atmosphere_km_s,
        flight_path_angle_deg=entry.flight_path_angle_deg,
        azimuth_deg=entry.azimuth_deg,
    )


def trajectory_message(pieces: Sequence[TrajectoryPiece]) -> v1.TrajectoryChunk:
    """Consecutive pieces of one branch, at least one, as one chunk."""
    times = np.concatenate([piece.time_d for piece in pieces]) + J2000_TDB_JD
    positions = np.concatenate([piece.positions_au for piece in pieces])
    finite = np.isfinite(positions).all(axis=1)
    x, y, z = positions[finite].T
    return v1.TrajectoryChunk(
        branch=v1.Branch.ValueType(pieces[0].branch), time_tdb_jd=times[finite], x_au=x, y_au=y, z_au=z
    )


def update_message(update: Update) -> v1.SimulateUpdate | None:
    """One message of a stream; None where there is nothing finite to say."""
    match update:
        case ProgressReport(fraction_done, branch, time_d):
            progress = v1.Progress(
                fraction_done=fraction_done,
                branch=v1.Branch.ValueType(branch),
                time_tdb_jd=time_d + J2000_TDB_JD,
            )
            return v1.SimulateUpdate(progress=progress)
        case TrajectoryPiece():
            return v1.SimulateUpdate(trajectory=trajectory_message([update]))
        case Sighting(branch, approach, entry):
            message = approach_message(approach, branch, entry)
            return v1.SimulateUpdate(close_approach=message) if is_finite(message) else None


def result_message(scenario: Scenario, outcome: Outcome, pieces: Sequence[TrajectoryPiece] = ()) -> v1.SimulationResult:
    """The whole answer.

    Args:
        scenario: what was asked.
        outcome: what came out.
        pieces: of the trajectories, for a reply that is not a stream.
    """
    result = v1.SimulationResult(
        provenance=v1.Provenance(
            integrator=outcome.integrator,
            force_model=outcome.force_model,
            ephemeris=outcome.ephemeris,
            fidelity=v1.Fidelity.ValueType(scenario.forces.fidelity),
        ),
        notes=outcome.notes,
    )
    dropped = 0
    for branch, went in outcome.branches.items():
        dropped += _add_branch(result, branch, went)
        if own := [piece for piece in pieces if piece.branch is branch]:
            result.trajectories.append(trajectory_message(own))
    if Branch.CHANGED in outcome.branches:
        backwards = scenario.duration_d < 0
        result.differences.extend(encounter_differences(result.baseline, result.changed, backwards=backwards))
    for branch, moid_au in outcome.earth_moid_au.items():
        setattr(result.moid, _FIELDS[branch] + "_au", moid_au)
    result.moid.time_tdb_jd = J2000_TDB_JD + outcome.moid_d
    misses = [went.round_trip_error_km for went in outcome.branches.values() if went.round_trip_error_km is not None]
    if misses and math.isfinite(max(misses)):
        result.energy.round_trip_error_km = max(misses)
    if dropped:
        result.notes.append(f"{dropped:,} values that were not finite are left out")
    return result


def is_finite(message: Message) -> bool:
    """Whether every number of a message is finite."""
    return all(_finite_value(value) for _, value in message.ListFields())


_FIELDS = {Branch.BASELINE: "baseline", Branch.CHANGED: "changed"}


def _finite_value(value: object) -> bool:
    if isinstance(value, Message):
        return is_finite(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return all(_finite_value(item) for item in value)
    return True


def _add_branch(result: v1.SimulationResult, branch: Branch, went: BranchOutcome) -> int:
    """Write one branch into a result: how many parts of it were not finite."""
    name = _FIELDS[branch]
    noted = zip(went.approaches, went.entries, strict=True)
    approaches = [approach_message(approach, branch, entry) for approach, entry in noted]
    finite = [message for message in approaches if is_finite(message)]
    getattr(result, name).extend(finite)
    dropped = len(approaches) - len(finite)
    if went.final_state is None:
        return dropped
    if not np.isfinite(went.final_state).all():
        return dropped + 1
    getattr(result, f"{name}_final_state").CopyFrom(state_message(went.final_state, went.final_d))
    try:
        orbit = from_states(went.final_state[None], went.final_d + J2000_TDB_JD)
    except InvalidOrbitError:
        # Falling straight at the Sun: a state without elements.
        return dropped
    elements = elements_message(orbit)
    if is_finite(elements):
        getattr(result, f"{name}_final_elements").CopyFrom(elements)
    return dropped
