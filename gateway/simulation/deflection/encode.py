# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers about a deflection as the contract's messages."""

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation.deflection.decode import Spacecraft
from gateway.simulation.deflection.least_push import LeastPush, Search
from gateway.simulation.deflection.pushes import Response
from gateway.simulation.deflection.question import Question
from gateway.simulation.nbody import INTEGRATOR
from orrery.inference import v1

_TAKEN_AS_GIVEN = "the orbit is taken as given: its uncertainty is not propagated"
_PUSHED_ONCE = "a push is a change of velocity at an instant; how it comes about is not modelled"


def progress_message(fraction_done: float, time_d: float) -> v1.EstimateDeflectionUpdate:
    """How far the whole work is, and where the object was followed to."""
    progress = v1.Progress(fraction_done=fraction_done, time_tdb_jd=time_d + J2000_TDB_JD)
    return v1.EstimateDeflectionUpdate(progress=progress)


def point_message(response: Response) -> v1.DeflectionPoint:
    """What one push does."""
    radial, transverse, normal = (float(part) for part in response.direction)
    message = v1.DeflectionPoint(
        lead_time_d=response.start.lead_time_d,
        push_tdb_jd=response.start.time_d + J2000_TDB_JD,
        push_mm_s=response.push_mm_s,
        radial=radial,
        transverse=transverse,
        normal=normal,
        encountered=response.shift_km_per_mm_s is not None,
        nonlinearity=response.nonlinearity,
        distance_km=response.distance_km,
    )
    if response.shift_km_per_mm_s is not None:
        xi, zeta = (float(part) for part in response.shift_km_per_mm_s)
        message.xi_km_per_mm_s, message.zeta_km_per_mm_s = xi, zeta
        message.shift_km_per_mm_s = float((xi**2 + zeta**2) ** 0.5)
    return message


def minimum_message(push: LeastPush, spacecraft: Spacecraft | None) -> v1.MinimumPush:
    """The smallest push that clears, and the spacecraft's mass for it."""
    radial, transverse, normal = (float(part) * 1e-6 for part in push.delta_v_mm_s)
    message = v1.MinimumPush(
        lead_time_d=push.start.lead_time_d,
        push_tdb_jd=push.start.time_d + J2000_TDB_JD,
        search=v1.PushSearch.ValueType(push.search),
        push_mm_s=push.push_mm_s,
        radial_km_s=radial,
        transverse_km_s=transverse,
        normal_km_s=normal,
        clearance_km=push.clearance_km,
        insufficient_push_mm_s=push.insufficient_mm_s,
        scanned=push.scanned,
        iterations=push.iterations,
        monotonic=push.monotonic,
    )
    if spacecraft is not None and push.push_mm_s is not None and push.search is not Search.NOT_NEEDED:
        message.impactor_mass_kg = spacecraft.mass_for_kg(push.push_mm_s)
    return message


def summary_message(question: Question, spacecraft: Spacecraft | None) -> v1.DeflectionSummary:
    """What the answers rest on."""
    notes = [_TAKEN_AS_GIVEN, _PUSHED_ONCE]
    if spacecraft is not None:
        notes.append(f"impactors push a mass of {spacecraft.target.kg:.4g} kg: {spacecraft.target.source}")
    provenance = v1.Provenance(
        integrator=INTEGRATOR,
        force_model=question.forces.description,
        ephemeris=question.forces.ephemeris_description,
        fidelity=v1.Fidelity.ValueType(question.forces.fidelity),
    )
    return v1.DeflectionSummary(provenance=provenance, notes=notes)
