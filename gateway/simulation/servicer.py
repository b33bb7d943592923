# SPDX-License-Identifier: GPL-3.0-or-later
"""SimulationService: decode, ask the workers, encode."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final, TypedDict, TypeVar

from gateway.serving.callers import caller_behind
from gateway.serving.context import Context
from gateway.serving.turns import Turns
from gateway.simulation import assessing, moids
from gateway.simulation.decode import read_scenario
from gateway.simulation.deflection.decode import read_deflection
from gateway.simulation.deflection.estimate import deflect
from gateway.simulation.encode import result_message, update_message
from gateway.simulation.heartbeat import with_heartbeat
from gateway.simulation.impact import encode as impact_encode
from gateway.simulation.impact.decode import read_question
from gateway.simulation.impact.estimate import estimate
from gateway.simulation.jobs import Job
from gateway.simulation.pool import WorkerPool
from gateway.simulation.request import Request
from gateway.simulation.scenario import Outcome, Scenario, TrajectoryPiece, Update
from gateway.simulation.simulate import simulate
from orrery.inference import v1

Message = TypeVar("Message", v1.SimulateUpdate, v1.EstimateImpactUpdate, v1.EstimateDeflectionUpdate)

# So often a stream says that its work waits.
_SILENT_S: Final = 0.5
# An estimate ends so long before its caller's deadline, or this share of it, with what is known by then.
_LAST_WORD_S: Final = 1.0
_LAST_SHARE: Final = 0.2


class SimulationServicer(v1.SimulationServiceServicer):
    """Implements the service; nothing here works on the event loop for longer than a message takes to encode."""

    def __init__(self, pool: WorkerPool, turns: Turns, asteroid_kernel: Path | None) -> None:
        """Serve with what was started.

        Args:
            pool: runs simulations.
            turns: threads that decode requests, compute MOIDs and encode results.
            asteroid_kernel: what the pool's workers were given.
        """
        self._pool = pool
        self._turns = turns
        self._asteroid_kernel = asteroid_kernel

    async def ComputeMoid(  # noqa: N802  # the contract's name
        self, request: v1.ComputeMoidRequest, context: Context
    ) -> v1.ComputeMoidResponse:
        """Rows in, rows out."""
        return await self._turns.run(moids.answer_rows(request), **_patience(context))

    async def ComputeMoidColumns(  # noqa: N802  # the contract's name
        self, request: v1.ComputeMoidColumnsRequest, context: Context
    ) -> v1.ComputeMoidColumnsResponse:
        """Columns in, columns out."""
        return await self._turns.run(moids.answer_columns(request), **_patience(context))

    async def EstimateDeflection(  # noqa: N802  # the contract's name
        self, request: v1.EstimateDeflectionRequest, context: Context
    ) -> AsyncIterator[v1.EstimateDeflectionUpdate]:
        """The encounter, the curve as it is found, the smallest pushes; a summary last."""
        question, spacecraft = await self._turns.call(
            read_deflection, request, self._asteroid_kernel, **_patience(context)
        )
        with self._pool.admit(**_asker(context)) as pooled:
            async with contextlib.aclosing(deflect(question, spacecraft, pooled)) as updates:
                async for update in updates:
                    yield _with_state(update, pooled)

    async def AssessConsequences(  # noqa: N802  # the contract's name
        self, request: v1.AssessConsequencesRequest, context: Context
    ) -> v1.AssessConsequencesResponse:
        """A closed form: microseconds."""
        return await self._turns.call(assessing.answer, request, **_patience(context))

    async def Simulate(  # noqa: N802  # the contract's name
        self, request: v1.SimulateRequest, context: Context
    ) -> v1.SimulateResponse:
        """All at once: trajectories within the result, progress left out."""
        pieces: list[TrajectoryPiece] = []
        scenario = await self._read(request, context)
        async with contextlib.aclosing(self._pool.run(_simulation(scenario), **_asker(context))) as messages:
            async for message in messages:
                if isinstance(message, TrajectoryPiece):
                    pieces.append(message)
                elif isinstance(message, Outcome):
                    result = await self._turns.call(
                        result_message, scenario, message, pieces, caller=caller_behind(context)
                    )
                    return v1.SimulateResponse(result=result)
        raise RuntimeError("a simulation ended without an outcome")

    async def StreamSimulate(  # noqa: N802  # the contract's name
        self, request: v1.SimulateRequest, context: Context
    ) -> AsyncIterator[v1.SimulateUpdate]:
        """As they are found: progress, encounters, trajectory; the result comes last."""
        scenario = await self._read(request, context)
        with self._pool.admit(**_asker(context)) as admitted:
            beating = with_heartbeat(admitted.run(_simulation(scenario)), _SILENT_S)
            async with contextlib.aclosing(beating) as messages:
                async for message in messages:
                    if isinstance(message, Outcome):
                        result = await self._turns.call(
                            result_message, scenario, message, caller=caller_behind(context)
                        )
                        yield v1.SimulateUpdate(result=result)
                    elif message is None:
                        if not admitted.begun:
                            yield _with_state(v1.SimulateUpdate(progress=v1.Progress()), admitted)
                    elif update := update_message(message):
                        yield _with_state(update, admitted)

    async def EstimateImpact(  # noqa: N802  # the contract's name
        self, request: v1.EstimateImpactRequest, context: Context
    ) -> AsyncIterator[v1.EstimateImpactUpdate]:
        """Progress and running estimates; the final one comes last."""
        question = await self._turns.call(read_question, request, self._asteroid_kernel, **_patience(context))
        with self._pool.admit(**_asker(context)) as admitted:
            left_s = context.time_remaining()
            time_s = None if left_s is None else left_s - min(_LAST_WORD_S, _LAST_SHARE * left_s)
            async with contextlib.aclosing(estimate(question, admitted, time_s=time_s)) as updates:
                async for update in updates:
                    yield _with_state(impact_encode.update_message(question, update), admitted)

    async def _read(self, request: v1.SimulateRequest, context: Context) -> Scenario:
        return await self._turns.call(read_scenario, request, self._asteroid_kernel, **_patience(context))


class _Asker(TypedDict):
    """Who waits for an answer, and for how long."""

    caller: str
    deadline_s: float | None


class _Patience(TypedDict):
    """The same, of work on threads."""

    caller: str
    timeout_s: float | None


def _patience(context: Context) -> _Patience:
    return _Patience(caller=caller_behind(context), timeout_s=context.time_remaining())


def _asker(context: Context) -> _Asker:
    return _Asker(caller=caller_behind(context), deadline_s=context.time_remaining())


def _with_state(update: Message, request: Request) -> Message:
    """A message of a stream; its progress, if it is one, says whether the work has begun."""
    if update.HasField("progress"):
        update.progress.state = v1.PROGRESS_STATE_RUNNING if request.begun else v1.PROGRESS_STATE_QUEUED
    return update


def _simulation(scenario: Scenario) -> Job[Update, Outcome]:
    return partial(simulate, scenario)
