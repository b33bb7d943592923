# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio: `InferenceClient`, to be awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import grpc

from orrery.inference import methods, questions, v1
from orrery.inference.calling import Calling, Window, can_go_on
from orrery.inference.channel import Tls, Token, bearer, open_async_channel
from orrery.inference.errors import InferenceError
from orrery.inference.repeating import Patience
from orrery.inference.tables import table_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from types import TracebackType

    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from orrery.inference.arrays import Columns
    from orrery.inference.methods import Method, Reply, Request
    from orrery.inference.questions import Plan

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Call:
    reply: Any
    first_row: int

    def cancel(self) -> None:
        self.reply.cancel()


class AsyncInferenceClient:
    """Asks the gateway from one event loop. Use as an asynchronous context manager; see `InferenceClient`."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        tls: Tls | None = None,
        token: Token | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Connect lazily, from the loop that will ask; see `InferenceClient`."""
        self._calling = Calling(open_async_channel(target, tls), bearer(target, tls, token))
        self._timeout_s = timeout_s

    async def predict(
        self, objects: Iterable[v1.NearEarthObject], *, model: v1.ModelSelector | None = None
    ) -> v1.PredictResponse:
        """See `InferenceClient.predict`."""
        return await self._run(questions.predict(self._start, objects, model))

    async def score_anomalies(
        self, objects: Iterable[v1.NearEarthObject], *, explain: bool = False, model: v1.ModelSelector | None = None
    ) -> v1.ScoreAnomaliesResponse:
        """See `InferenceClient.score_anomalies`."""
        return await self._run(questions.score_anomalies(self._start, objects, model, explain=explain))

    async def compute_moid(
        self,
        objects: Iterable[v1.NearEarthObject],
        *,
        planets: Iterable[v1.Planet.ValueType] = (),
        certify: bool = False,
    ) -> v1.ComputeMoidResponse:
        """See `InferenceClient.compute_moid`."""
        return await self._run(questions.compute_moid(self._start, objects, planets, certify=certify))

    async def submit_classification(
        self, vote: v1.SubmitClassificationRequest, *, timeout_s: float | None = None
    ) -> v1.VoteReceipt:
        """See `InferenceClient.submit_classification`."""
        reply: v1.SubmitClassificationResponse = await self._until_kept(methods.SUBMIT_CLASSIFICATION, vote, timeout_s)
        return reply.receipt

    async def get_consensus(
        self, designations: Iterable[str], *, timeout_s: float | None = None
    ) -> v1.GetConsensusResponse:
        """See `InferenceClient.get_consensus`."""
        start = partial(self._start, timeout_s=methods.GET_CONSENSUS.within_s(timeout_s))
        return await self._run(questions.get_consensus(start, designations))

    async def export_contributor(
        self, contributor_token: str, *, timeout_s: float | None = None
    ) -> v1.ExportContributorResponse:
        """See `InferenceClient.export_contributor`."""
        request = v1.ExportContributorRequest(contributor_token=contributor_token)
        whole = v1.ExportContributorResponse()
        async for part in self.ask_stream(methods.EXPORT_CONTRIBUTOR, request, timeout_s=timeout_s):
            whole.MergeFrom(part)
        return whole

    async def erase_contributor(
        self, request: v1.EraseContributorRequest, *, timeout_s: float | None = None
    ) -> v1.EraseContributorResponse:
        """See `InferenceClient.erase_contributor`."""
        return await self._until_kept(methods.ERASE_CONTRIBUTOR, request, timeout_s)

    @overload
    async def predict_columns(
        self, orbits: v1.OrbitColumns, *, model: v1.ModelSelector | None = None, definition: bool = True
    ) -> v1.PredictColumnsResponse: ...
    @overload
    async def predict_columns(
        self, orbits: pd.DataFrame, *, model: v1.ModelSelector | None = None, definition: bool = True
    ) -> pd.DataFrame: ...
    @overload
    async def predict_columns(
        self,
        orbits: Mapping[str, ArrayLike] | NDArray[np.void],
        *,
        model: v1.ModelSelector | None = None,
        definition: bool = True,
    ) -> Columns: ...
    async def predict_columns(
        self, orbits: Any, *, model: v1.ModelSelector | None = None, definition: bool = True
    ) -> Any:
        """See `InferenceClient.predict_columns`."""
        return await self._run(questions.predict_columns(self._start, table_of(orbits), model, definition=definition))

    @overload
    async def score_anomaly_columns(
        self, orbits: v1.OrbitColumns, *, model: v1.ModelSelector | None = None
    ) -> v1.ScoreAnomalyColumnsResponse: ...
    @overload
    async def score_anomaly_columns(
        self, orbits: pd.DataFrame, *, model: v1.ModelSelector | None = None
    ) -> pd.DataFrame: ...
    @overload
    async def score_anomaly_columns(
        self, orbits: Mapping[str, ArrayLike] | NDArray[np.void], *, model: v1.ModelSelector | None = None
    ) -> Columns: ...
    async def score_anomaly_columns(self, orbits: Any, *, model: v1.ModelSelector | None = None) -> Any:
        """See `InferenceClient.score_anomaly_columns`."""
        return await self._run(questions.score_anomaly_columns(self._start, table_of(orbits), model))

    @overload
    async def compute_moid_columns(
        self, orbits: v1.OrbitColumns, *, planet: v1.Planet.ValueType = ..., certify: bool = False
    ) -> v1.ComputeMoidColumnsResponse: ...
    @overload
    async def compute_moid_columns(
        self, orbits: pd.DataFrame, *, planet: v1.Planet.ValueType = ..., certify: bool = False
    ) -> pd.DataFrame: ...
    @overload
    async def compute_moid_columns(
        self,
        orbits: Mapping[str, ArrayLike] | NDArray[np.void],
        *,
        planet: v1.Planet.ValueType = ...,
        certify: bool = False,
    ) -> Columns: ...
    async def compute_moid_columns(
        self, orbits: Any, *, planet: v1.Planet.ValueType = v1.PLANET_EARTH, certify: bool = False
    ) -> Any:
        """See `InferenceClient.compute_moid_columns`."""
        return await self._run(questions.compute_moid_columns(self._start, table_of(orbits), planet, certify=certify))

    def stream_predict(
        self,
        tables: Iterable[Any] | AsyncIterable[Any],
        *,
        model: v1.ModelSelector | None = None,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Any, None]:
        """See `InferenceClient.stream_predict`; the tables may also come asynchronously."""
        return self._stream(methods.STREAM_PREDICT, methods.PREDICT_COLUMNS, tables, model, timeout_s)

    def stream_score_anomalies(
        self,
        tables: Iterable[Any] | AsyncIterable[Any],
        *,
        model: v1.ModelSelector | None = None,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Any, None]:
        """See `InferenceClient.stream_score_anomalies`; the tables may also come asynchronously."""
        return self._stream(methods.STREAM_SCORE_ANOMALIES, methods.SCORE_ANOMALY_COLUMNS, tables, model, timeout_s)

    async def simulate(self, scenario: v1.Scenario, *, timeout_s: float | None = None) -> v1.SimulationResult:
        """See `InferenceClient.simulate`."""
        start = partial(self._start, timeout_s=methods.SIMULATE.within_s(timeout_s))
        return await self._run(questions.simulate(start, scenario))

    def stream_simulate(
        self, scenario: v1.Scenario, *, timeout_s: float | None = None
    ) -> AsyncGenerator[v1.SimulateUpdate, None]:
        """See `InferenceClient.stream_simulate`."""
        return self.ask_stream(methods.STREAM_SIMULATE, v1.SimulateRequest(scenario=scenario), timeout_s=timeout_s)

    def estimate_impact(
        self, request: v1.EstimateImpactRequest, *, timeout_s: float | None = None
    ) -> AsyncGenerator[v1.EstimateImpactUpdate, None]:
        """See `InferenceClient.estimate_impact`."""
        return self.ask_stream(methods.ESTIMATE_IMPACT, request, timeout_s=timeout_s)

    def estimate_deflection(
        self, request: v1.EstimateDeflectionRequest, *, timeout_s: float | None = None
    ) -> AsyncGenerator[v1.EstimateDeflectionUpdate, None]:
        """See `InferenceClient.estimate_deflection`."""
        return self.ask_stream(methods.ESTIMATE_DEFLECTION, request, timeout_s=timeout_s)

    async def ask(self, method: Method[Request, Reply], request: Request, *, timeout_s: float | None = None) -> Reply:
        """See `InferenceClient.ask`."""
        start = partial(self._start, timeout_s=method.within_s(timeout_s))
        return await self._run(questions.single(start, method, request))

    async def ask_stream(
        self, method: Method[Request, Reply], request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Reply, None]:
        """See `InferenceClient.ask_stream`."""
        call = self._calling.callable_of(method)(request, **self._calling.budget(method, timeout_s))
        try:
            async for update in call:
                yield update
        except grpc.RpcError as error:
            raise InferenceError(error) from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Close the connection."""
        await self._calling.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _start(
        self,
        method: Method[Any, Any],
        request: Any,
        *,
        first_row: int = 0,
        alone: bool = False,
        timeout_s: float | None = None,
    ) -> _Call:
        del alone  # every call of asyncio's is under way at once
        budget = self._calling.budget(method, self._timeout_s if timeout_s is None else timeout_s)
        return _Call(self._calling.callable_of(method)(request, **budget), first_row)

    async def _run(self, plan: Plan[Answer]) -> Answer:
        call: Any = None
        try:
            call = next(plan)
            while True:
                try:
                    reply = await call.reply
                except grpc.RpcError as error:
                    call = plan.throw(InferenceError(error, call.first_row))
                else:
                    call = plan.send(reply)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        finally:
            plan.close()
            if call is not None:
                call.cancel()

    async def _until_kept(self, method: Method[Any, Reply], request: Any, timeout_s: float | None) -> Reply:
        patience = Patience(request, method.within_s(timeout_s))
        while True:
            try:
                return await self.ask(method, request, timeout_s=patience.left_s)
            except InferenceError as refusal:
                pause_s = patience.pause_s(refusal)
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)

    async def _stream(
        self,
        method: Method[Any, Any],
        unary: Method[Any, Any],
        tables: Iterable[Any] | AsyncIterable[Any],
        model: v1.ModelSelector | None,
        timeout_s: float | None,
    ) -> AsyncGenerator[Any, None]:
        window: Window[Any, Any] = Window(unary, model)
        source = aiter(tables) if isinstance(tables, AsyncIterable) else _asynchronously(tables)
        while True:
            try:
                async with contextlib.aclosing(self._exchange(method, window, source, timeout_s)) as answers:
                    async for answer in answers:
                        yield answer
            except grpc.RpcError as error:
                if not can_go_on(error):
                    raise InferenceError(error) from error
            else:
                return
            if window.waiting:
                reply = await self._run(questions.single(self._start, unary, window.waiting[0][1]))
                yield window.answer(reply)

    async def _exchange(
        self, method: Method[Any, Any], window: Window[Any, Any], source: AsyncIterator[Any], timeout_s: float | None
    ) -> AsyncGenerator[Any, None]:
        """One stream, until its end or the source's; a task of gRPC's sends what is put into the queue."""
        outgoing: asyncio.Queue[Any] = asyncio.Queue()
        replies = self._calling.callable_of(method)(_until_none(outgoing), **self._calling.budget(method, timeout_s))
        try:
            for request in window.requests():
                outgoing.put_nowait(request)
            while True:
                while window.has_room:
                    orbits = await anext(source, None)
                    if orbits is None:
                        break
                    outgoing.put_nowait(window.add(table_of(orbits)))
                if not window.waiting:
                    return
                yield window.answer(await anext(aiter(replies)))
        finally:
            outgoing.put_nowait(None)
            replies.cancel()


async def _asynchronously(tables: Iterable[Any]) -> AsyncIterator[Any]:
    for table in tables:
        yield table


async def _until_none(outgoing: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while (request := await outgoing.get()) is not None:
        yield request
