# SPDX-License-Identifier: GPL-3.0-or-later
"""A deflection from its question to its stream of messages, job by job through the workers."""

import contextlib
from collections.abc import AsyncGenerator
from functools import partial

from gateway.neo.units import J2000_TDB_JD
from gateway.serving.errors import FieldViolation, InvalidRequest
from gateway.simulation.deflection_question import Spacecraft
from gateway.simulation.encode import approach_message, is_finite
from gateway.simulation.heartbeat import with_heartbeat
from gateway.simulation.jobs import Job
from gateway.simulation.nbody import INTEGRATOR, ephemeris_description
from gateway.simulation.pool import Request
from gateway.simulation.pushing import OUR_LEAD_TIMES, LeastPush, Met, Question, Response, Search, meet, respond
from gateway.simulation.scenario import Branch, ProgressReport
from orrery.inference import v1

_TAKEN_AS_GIVEN = "the orbit is taken as given: its uncertainty is not propagated"
_PUSHED_ONCE = "a push is a change of velocity at an instant; how it comes about is not modelled"
# Following the object to its encounter is about as much work as one lead time.
_MEETING = 1
_SILENT_S = 0.5


async def deflect(
    question: Question, spacecraft: Spacecraft | None, request: Request
) -> AsyncGenerator[v1.EstimateDeflectionUpdate, None]:
    """The encounter, what pushes do to it, and a summary.

    Args:
        question: what is asked.
        spacecraft: that pushes, if one does.
        request: runs the jobs.

    Raises:
        InvalidRequest: there is no encounter, or not at such a lead time.
        as `Request.run` does.
    """
    met = None
    meeting: Job[ProgressReport, Met] = partial(meet, question)
    said = _progress(0.0, question.epoch_d)
    async with contextlib.aclosing(with_heartbeat(request.run(meeting), _SILENT_S)) as messages:
        async for message in messages:
            if isinstance(message, Met):
                met = message
                continue
            if message is not None:
                parts = _MEETING + (len(question.lead_times_d) or OUR_LEAD_TIMES)
                said = _progress(message.fraction_done / parts, message.time_d)
            yield said
    if met is None or met.approach is None:
        raise InvalidRequest([_no_encounter(question)])
    _check_lead_times(question, met)
    yield v1.EstimateDeflectionUpdate(encounter=approach_message(met.approach, Branch.BASELINE, None))
    parts = _MEETING + len(met.starts)
    done = _MEETING
    jobs: list[Job[Response, LeastPush | None]] = [
        partial(respond, question, met.approach, start) for start in met.starts
    ]
    async with contextlib.aclosing(with_heartbeat(request.run_all(jobs), _SILENT_S)) as answers:
        async for numbered in answers:
            if numbered is None:
                yield said
                continue
            number, answer = numbered
            if isinstance(answer, Response):
                update = v1.EstimateDeflectionUpdate(point=_point(answer))
                if is_finite(update):
                    yield update
                continue
            if answer is not None:
                yield v1.EstimateDeflectionUpdate(minimum_push=_minimum(answer, spacecraft))
            done += 1
            said = _progress(done / parts, met.starts[number].time_d)
            yield said
    yield v1.EstimateDeflectionUpdate(summary=_summary(question, spacecraft))


def _no_encounter(question: Question) -> FieldViolation:
    return FieldViolation(
        "from_tdb_jd",
        f"the object does not come within {question.reach_au:g} au of {question.body.name} in the window "
        "(or hits something before)",
    )


def _check_lead_times(question: Question, met: Met) -> None:
    if met.approach is None:
        return
    most_d = met.approach.time_d - question.epoch_d
    late = [
        FieldViolation(f"lead_time_d[{row}]", f"must be at most {most_d:.9g}: the object is known no earlier")
        for row, lead in enumerate(question.lead_times_d)
        if lead > most_d
    ]
    if late:
        raise InvalidRequest(late)


def _progress(fraction_done: float, time_d: float) -> v1.EstimateDeflectionUpdate:
    progress = v1.Progress(fraction_done=fraction_done, time_tdb_jd=time_d + J2000_TDB_JD)
    return v1.EstimateDeflectionUpdate(progress=progress)


def _point(response: Response) -> v1.DeflectionPoint:
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


def _minimum(push: LeastPush, spacecraft: Spacecraft | None) -> v1.MinimumPush:
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


def _summary(question: Question, spacecraft: Spacecraft | None) -> v1.DeflectionSummary:
    notes = [_TAKEN_AS_GIVEN, _PUSHED_ONCE]
    if spacecraft is not None:
        notes.append(f"impactors push a mass of {spacecraft.target.kg:.4g} kg: {spacecraft.target.source}")
    provenance = v1.Provenance(
        integrator=INTEGRATOR,
        force_model=question.forces.description,
        ephemeris=ephemeris_description(question.forces.asteroid_kernel),
        fidelity=v1.Fidelity.ValueType(question.forces.fidelity),
    )
    return v1.DeflectionSummary(provenance=provenance, notes=notes)
