# SPDX-License-Identifier: GPL-3.0-or-later
"""From what an estimate says to the contract's messages. No message holds a number that is not finite."""

import numpy as np

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation.encode import entry_message
from gateway.simulation.impact.estimate import Progress
from gateway.simulation.impact.question import Estimate, Question, Row, TargetMap
from gateway.simulation.impact.target_maps import ellipse, line_of_variations
from gateway.simulation.nbody import INTEGRATOR, ephemeris_description
from orrery.inference import v1


def update_message(question: Question, update: Progress | Estimate) -> v1.EstimateImpactUpdate:
    """One message of the stream."""
    if isinstance(update, Progress):
        progress = v1.Progress(fraction_done=update.fraction_done, branch=v1.BRANCH_BASELINE)
        return v1.EstimateImpactUpdate(progress=progress)
    return v1.EstimateImpactUpdate(estimate=estimate_message(question, update))


def estimate_message(question: Question, estimate: Estimate) -> v1.ImpactEstimate:
    """A running estimate, or the final one."""
    message = v1.ImpactEstimate(
        probability=estimate.probability,
        probability_low=estimate.low,
        probability_high=estimate.high,
        samples=estimate.samples,
        hits=estimate.hits,
        method=v1.ImpactMethod.ValueType(estimate.method),
        seed=question.seed,
        final=estimate.final,
        virtual_impactors=[_row_message(row) for row in estimate.rows],
        undetected_probability_bound=estimate.unseen,
        notes=estimate.notes,
    )
    if estimate.final:
        message.provenance.CopyFrom(
            v1.Provenance(
                integrator=INTEGRATOR,
                force_model=question.forces.description,
                ephemeris=ephemeris_description(question.forces.asteroid_kernel),
                fidelity=v1.Fidelity.ValueType(question.forces.fidelity),
            )
        )
    return message


def _row_message(row: Row) -> v1.VirtualImpactor:
    message = v1.VirtualImpactor(
        body=v1.Body.ValueType(row.body),
        time_tdb_jd=row.time_d + J2000_TDB_JD,
        probability=row.probability,
        probability_low=row.low,
        probability_high=row.high,
        hits=row.hits,
        linear_error=row.linear,
        impact_velocity_km_s=row.speed_km_s if row.within_reach else None,
    )
    if row.target is not None:
        message.ellipse.CopyFrom(_ellipse_message(row.target))
    if row.within_reach and row.at is not None:
        message.sigma_distance = float(np.linalg.norm(row.at))
        if row.target is not None:
            message.sigma = float(row.at @ line_of_variations(row.target))
    if row.entry is not None:
        message.entry.CopyFrom(entry_message(row.entry))
    return message


def _ellipse_message(target: TargetMap) -> v1.TargetPlaneEllipse:
    shape = ellipse(target)
    return v1.TargetPlaneEllipse(
        xi_km=shape.xi_km,
        zeta_km=shape.zeta_km,
        semi_major_axis_km=shape.semi_major_km,
        semi_minor_axis_km=shape.semi_minor_km,
        angle_deg=shape.angle_deg,
        capture_radius_km=target.capture_km,
        v_infinity_km_s=target.v_infinity_km_s,
    )
