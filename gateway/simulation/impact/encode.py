# SPDX-License-Identifier: GPL-3.0-or-later
"""From what an estimate says to the contract's messages. No message holds a number that is not finite."""

import numpy as np

from gateway.neo.errors import InvalidImpactError
from gateway.neo.impact import cumulative_palermo_scale
from gateway.neo.impact.consequences import DEFAULT_ANGLE_DEG
from gateway.neo.units import J2000_TDB_JD, JULIAN_YEAR_D
from gateway.simulation.assessing import consequences_message, scales_message
from gateway.simulation.bodies import Body
from gateway.simulation.encode import entry_message
from gateway.simulation.impact.estimate import Progress
from gateway.simulation.impact.question import Estimate, Question, Row, TargetMap
from gateway.simulation.impact.target_maps import ellipse, line_of_variations
from gateway.simulation.nbody import INTEGRATOR
from orrery.inference import v1

# The scales know no impact that is now: a minute away.
_LEAST_YEARS = 1e-6


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
        complete=estimate.complete,
        virtual_impactors=[_row_message(row) for row in estimate.rows],
        undetected_probability_bound=estimate.unseen,
        notes=estimate.notes,
    )
    if estimate.final:
        _add_hazard(message, question, estimate)
        message.provenance.CopyFrom(
            v1.Provenance(
                integrator=INTEGRATOR,
                force_model=question.forces.description,
                ephemeris=question.forces.ephemeris_description,
                fidelity=v1.Fidelity.ValueType(question.forces.fidelity),
            )
        )
    return message


def _add_hazard(message: v1.ImpactEstimate, question: Question, estimate: Estimate) -> None:
    """What the impacts would do, and how much attention they deserve."""
    body = question.impactor
    rows = [row for row in estimate.rows if row.within_reach and row.speed_km_s is not None]
    if body is None or not rows:
        return
    try:
        palermos, torinos = [], []
        for row, said in zip(estimate.rows, message.virtual_impactors, strict=True):
            if row.body is not Body.EARTH or row.speed_km_s is None or not row.within_reach:
                continue
            years = max((row.time_d - question.spread_d) / JULIAN_YEAR_D, _LEAST_YEARS)
            speed_km_s, _ = _arrival(row)
            scales = scales_message(row.probability, body.energy_mt(speed_km_s), years, body_hit=v1.BODY_EARTH)
            said.scales.CopyFrom(scales)
            palermos += [scales.palermo_scale] if scales.HasField("palermo_scale") else []
            torinos += [scales.torino_scale] if scales.HasField("torino_scale") else []
        if palermos:
            message.palermo_scale = cumulative_palermo_scale(palermos)
        if torinos:
            message.torino_scale = max(torinos)
        most = max(rows, key=lambda row: (row.body is Body.EARTH, row.probability))
        found = consequences_message(body, *_arrival(most), body_hit=v1.Body.ValueType(most.body))
        message.consequences.CopyFrom(found)
    except InvalidImpactError as error:
        message.notes.append(f"the impact is outside what consequences are known for: {error}")


def _arrival(row: Row) -> tuple[float, float]:
    """Speed in km/s and angle above the horizon, at the top of the air where there is any; 45 deg where not known."""
    if row.entry is not None:
        return row.entry.speed_km_s, max(-row.entry.flight_path_angle_deg, 1.0)
    return row.speed_km_s or 0.0, DEFAULT_ANGLE_DEG


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
