# SPDX-License-Identifier: GPL-3.0-or-later
"""A deflection from its question to its stream of messages, job by job through the workers."""

import contextlib
from collections.abc import AsyncGenerator
from functools import partial

from gateway.serving.errors import FieldViolation, InvalidRequest
from gateway.simulation.deflection.decode import Spacecraft
from gateway.simulation.deflection.encode import minimum_message, point_message, progress_message, summary_message
from gateway.simulation.deflection.encounter import OUR_LEAD_TIMES, Met, meet
from gateway.simulation.deflection.least_push import LeastPush, respond
from gateway.simulation.deflection.pushes import Response
from gateway.simulation.deflection.question import Question
from gateway.simulation.encode import approach_message, is_finite
from gateway.simulation.heartbeat import with_heartbeat
from gateway.simulation.jobs import Job
from gateway.simulation.request import Request
from gateway.simulation.scenario import Branch, ProgressReport
from orrery.inference import v1

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
    said = progress_message(0.0, question.epoch_d)
    async with contextlib.aclosing(with_heartbeat(request.run(meeting), _SILENT_S)) as messages:
        async for message in messages:
            if isinstance(message, Met):
                met = message
                continue
            if message is not None:
                parts = _MEETING + (len(question.lead_times_d) or OUR_LEAD_TIMES)
                said = progress_message(message.fraction_done / parts, message.time_d)
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
                update = v1.EstimateDeflectionUpdate(point=point_message(answer))
                if is_finite(update):
                    yield update
                continue
            if answer is not None:
                yield v1.EstimateDeflectionUpdate(minimum_push=minimum_message(answer, spacecraft))
            done += 1
            said = progress_message(done / parts, met.starts[number].time_d)
            yield said
    yield v1.EstimateDeflectionUpdate(summary=summary_message(question, spacecraft))


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
