# SPDX-License-Identifier: Apache-2.0
"""The client for threads: one method a question, sensible deadlines, decoded refusals."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import grpc

from orrery.inference import methods, questions, v1
from orrery.inference.calling import Calling, Window, can_go_on
from orrery.inference.channel import Tls, Token, bearer, open_channel
from orrery.inference.errors import InferenceError
from orrery.inference.repeating import Patience
from orrery.inference.tables import table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
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
    """A call under way, or one to make when it is waited for, which is quicker."""

    result: Callable[[], Any]
    first_row: int
    cancel: Callable[[], object]


class InferenceClient:
    """Asks the gateway. Use as a context manager; safe to share between threads.

    Questions may have any number of objects: they go in parts within the contract's limits, a few at a time, and one
    version of the model answers all of them. Every method raises `InferenceError`, also where the gateway cannot be
    reached; its violations name rows as the caller counts them. `MixedVersionsError` if the gateway breaks its word.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        tls: Tls | None = None,
        token: Token | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Connect lazily.

        Args:
            target: where the front listens.
            tls: None for plaintext.
            token: who is asking, or what gives the token of each call; over plaintext to this machine only.
            timeout_s: of every call but simulations and streams, in place of each method's own.

        Raises:
            UnsafeTokenError: the token would cross a network in plaintext.
        """
        self._calling = Calling(open_channel(target, tls), bearer(target, tls, token))
        self._timeout_s = timeout_s

    def predict(
        self, objects: Iterable[v1.NearEarthObject], *, model: v1.ModelSelector | None = None
    ) -> v1.PredictResponse:
        """Is it potentially hazardous, and which orbit class?"""
        return self._run(questions.predict(self._start, objects, model))

    def score_anomalies(
        self, objects: Iterable[v1.NearEarthObject], *, explain: bool = False, model: v1.ModelSelector | None = None
    ) -> v1.ScoreAnomaliesResponse:
        """How unusual is it, and why?"""
        return self._run(questions.score_anomalies(self._start, objects, model, explain=explain))

    def compute_moid(
        self,
        objects: Iterable[v1.NearEarthObject],
        *,
        planets: Iterable[v1.Planet.ValueType] = (),
        certify: bool = False,
    ) -> v1.ComputeMoidResponse:
        """How near do the orbits come? To Earth unless told; proved if certify."""
        return self._run(questions.compute_moid(self._start, objects, planets, certify=certify))

    def submit_classification(
        self, vote: v1.SubmitClassificationRequest, *, timeout_s: float | None = None
    ) -> v1.VoteReceipt:
        """Hand in a vote; when this returns, it is on disk.

        It is handed in again, and kept once, while the gateway is away or says "later", until 10 s unless told have
        passed. After an error hand in the same message again, whenever you like: it may or may not have been kept, and
        is not kept twice.

        Args:
            vote: is given a random request_id if it has none.
            timeout_s: of all attempts together.
        """
        return self._until_kept(methods.SUBMIT_CLASSIFICATION, vote, timeout_s).receipt

    def get_consensus(self, designations: Iterable[str], *, timeout_s: float | None = None) -> v1.GetConsensusResponse:
        """What do citizens' votes on these objects amount to? Any number of objects, each part within 10 s."""
        start = partial(self._start, timeout_s=methods.GET_CONSENSUS.within_s(timeout_s))
        return self._run(questions.get_consensus(start, designations))

    def export_contributor(
        self, contributor_token: str, *, timeout_s: float | None = None
    ) -> v1.ExportContributorResponse:
        """Everything that is held about a contributor, in one message; without `contributor` if that is nothing."""
        request = v1.ExportContributorRequest(contributor_token=contributor_token)
        whole = v1.ExportContributorResponse()
        for part in self.ask_stream(methods.EXPORT_CONTRIBUTOR, request, timeout_s=timeout_s):
            whole.MergeFrom(part)
        return whole

    def erase_contributor(
        self, request: v1.EraseContributorRequest, *, timeout_s: float | None = None
    ) -> v1.EraseContributorResponse:
        """Erase a contributor's votes and key for good.

        Tried again like a vote, within 30 s unless told; the same message gets the same answer.

        Args:
            request: is given a random request_id if it has none.
            timeout_s: of all attempts together.
        """
        return self._until_kept(methods.ERASE_CONTRIBUTOR, request, timeout_s)

    @overload
    def predict_columns(
        self, orbits: v1.OrbitColumns, *, model: v1.ModelSelector | None = None, definition: bool = True
    ) -> v1.PredictColumnsResponse: ...
    @overload
    def predict_columns(
        self, orbits: pd.DataFrame, *, model: v1.ModelSelector | None = None, definition: bool = True
    ) -> pd.DataFrame: ...
    @overload
    def predict_columns(
        self,
        orbits: Mapping[str, ArrayLike] | NDArray[np.void],
        *,
        model: v1.ModelSelector | None = None,
        definition: bool = True,
    ) -> Columns: ...
    def predict_columns(self, orbits: Any, *, model: v1.ModelSelector | None = None, definition: bool = True) -> Any:
        """`predict` in bulk: columns in, columns out, in the form they came in.

        Args:
            orbits: named as the fields of `OrbitColumns`: a message, a mapping of arrays, a structured array, or a
                DataFrame (of which other columns are left out).
            model: that is to answer.
            definition: False asks the network alone, which is quicker: the answer has no columns of the definition.

        Returns:
            For a message a message, for arrays a dict of arrays with an attribute `model`, for a frame a frame under
            the same index.

        Raises:
            ValueError: columns have unknown names or differ in length.
        """
        return self._run(questions.predict_columns(self._start, table_of(orbits), model, definition=definition))

    @overload
    def score_anomaly_columns(
        self, orbits: v1.OrbitColumns, *, model: v1.ModelSelector | None = None
    ) -> v1.ScoreAnomalyColumnsResponse: ...
    @overload
    def score_anomaly_columns(self, orbits: pd.DataFrame, *, model: v1.ModelSelector | None = None) -> pd.DataFrame: ...
    @overload
    def score_anomaly_columns(
        self, orbits: Mapping[str, ArrayLike] | NDArray[np.void], *, model: v1.ModelSelector | None = None
    ) -> Columns: ...
    def score_anomaly_columns(self, orbits: Any, *, model: v1.ModelSelector | None = None) -> Any:
        """`score_anomalies` in bulk; see `predict_columns`."""
        return self._run(questions.score_anomaly_columns(self._start, table_of(orbits), model))

    @overload
    def compute_moid_columns(
        self, orbits: v1.OrbitColumns, *, planet: v1.Planet.ValueType = ..., certify: bool = False
    ) -> v1.ComputeMoidColumnsResponse: ...
    @overload
    def compute_moid_columns(
        self, orbits: pd.DataFrame, *, planet: v1.Planet.ValueType = ..., certify: bool = False
    ) -> pd.DataFrame: ...
    @overload
    def compute_moid_columns(
        self,
        orbits: Mapping[str, ArrayLike] | NDArray[np.void],
        *,
        planet: v1.Planet.ValueType = ...,
        certify: bool = False,
    ) -> Columns: ...
    def compute_moid_columns(
        self, orbits: Any, *, planet: v1.Planet.ValueType = v1.PLANET_EARTH, certify: bool = False
    ) -> Any:
        """`compute_moid` in bulk, to one planet; see `predict_columns`."""
        return self._run(questions.compute_moid_columns(self._start, table_of(orbits), planet, certify=certify))

    def stream_predict(
        self, tables: Iterable[Any], *, model: v1.ModelSelector | None = None, timeout_s: float | None = None
    ) -> Iterator[Any]:
        """Columns as they come, without end: an answer to each table, in order and in the table's form.

        Args:
            tables: each of 1 to 100,000 rows, see `predict_columns`. Up to 16 are taken ahead of their answers, so
                what comes one by one and waits for its answer is better asked with `predict_columns`.
            model: that is to answer; whichever version answers the first table answers all.
            timeout_s: of the whole stream; an hour unless told.
        """
        return self._stream(methods.STREAM_PREDICT, methods.PREDICT_COLUMNS, tables, model, timeout_s)

    def stream_score_anomalies(
        self, tables: Iterable[Any], *, model: v1.ModelSelector | None = None, timeout_s: float | None = None
    ) -> Iterator[Any]:
        """The same for anomaly scores; see `stream_predict`."""
        return self._stream(methods.STREAM_SCORE_ANOMALIES, methods.SCORE_ANOMALY_COLUMNS, tables, model, timeout_s)

    def simulate(self, scenario: v1.Scenario, *, timeout_s: float | None = None) -> v1.SimulationResult:
        """What if? Within a minute unless told."""
        start = partial(self._start, timeout_s=methods.SIMULATE.within_s(timeout_s))
        return self._run(questions.simulate(start, scenario))

    def stream_simulate(self, scenario: v1.Scenario, *, timeout_s: float | None = None) -> Iterator[v1.SimulateUpdate]:
        """What if, with progress, within 300 s unless told; closing the iterator cancels the simulation."""
        return self.ask_stream(methods.STREAM_SIMULATE, v1.SimulateRequest(scenario=scenario), timeout_s=timeout_s)

    def estimate_impact(
        self, request: v1.EstimateImpactRequest, *, timeout_s: float | None = None
    ) -> Iterator[v1.EstimateImpactUpdate]:
        """How probable is an impact? Progress and running estimates at least each second, the final estimate last.

        Args:
            request: the same request is answered by the same final estimate.
            timeout_s: of the whole estimate; 300 s unless told. What it cuts short is lost, the estimates before it
                are not.

        Returns:
            What comes as it comes; closing the iterator cancels the estimate.
        """
        return self.ask_stream(methods.ESTIMATE_IMPACT, request, timeout_s=timeout_s)

    def estimate_deflection(
        self, request: v1.EstimateDeflectionRequest, *, timeout_s: float | None = None
    ) -> Iterator[v1.EstimateDeflectionUpdate]:
        """How far do pushes move an encounter, and which is the smallest that clears the body?

        Args:
            request: object, encounter, and pushes.
            timeout_s: of all of it; 300 s unless told.

        Returns:
            The encounter first, points and smallest pushes as they are found, the summary last; closing the iterator
            cancels the search.
        """
        return self.ask_stream(methods.ESTIMATE_DEFLECTION, request, timeout_s=timeout_s)

    def ask(self, method: Method[Request, Reply], request: Request, *, timeout_s: float | None = None) -> Reply:
        """Any unary method of `orrery.inference.methods`, as it stands in the contract."""
        start = partial(self._start, timeout_s=method.within_s(timeout_s))
        return self._run(questions.single(start, method, request))

    def ask_stream(
        self, method: Method[Request, Reply], request: Request, *, timeout_s: float | None = None
    ) -> Iterator[Reply]:
        """Any method of `orrery.inference.methods` that streams its replies; closing the iterator cancels it."""
        call = self._calling.callable_of(method)(request, **self._calling.budget(method, timeout_s))
        try:
            yield from call
        except grpc.RpcError as error:
            raise InferenceError(error) from error
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._calling.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(
        self,
        method: Method[Any, Any],
        request: Any,
        *,
        first_row: int = 0,
        alone: bool = False,
        timeout_s: float | None = None,
    ) -> _Call:
        call = self._calling.callable_of(method)
        budget = self._calling.budget(method, self._timeout_s if timeout_s is None else timeout_s)
        if alone:
            return _Call(partial(call, request, **budget), first_row, lambda: None)
        future = call.future(request, **budget)
        return _Call(future.result, first_row, future.cancel)

    def _run(self, plan: Plan[Answer]) -> Answer:
        try:
            call: Any = next(plan)
            while True:
                try:
                    reply = call.result()
                except grpc.RpcError as error:
                    call = plan.throw(InferenceError(error, call.first_row))
                else:
                    call = plan.send(reply)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        finally:
            plan.close()

    def _until_kept(self, method: Method[Any, Reply], request: Any, timeout_s: float | None) -> Reply:
        patience = Patience(request, method.within_s(timeout_s))
        while True:
            try:
                return self.ask(method, request, timeout_s=patience.left_s)
            except InferenceError as refusal:
                pause_s = patience.pause_s(refusal)
                if pause_s is None:
                    raise
            time.sleep(pause_s)

    def _stream(
        self,
        method: Method[Any, Any],
        unary: Method[Any, Any],
        tables: Iterable[Any],
        model: v1.ModelSelector | None,
        timeout_s: float | None,
    ) -> Iterator[Any]:
        window: Window[Any, Any] = Window(unary, model)
        source = iter(tables)
        while True:
            try:
                yield from self._exchange(method, window, source, timeout_s)
            except grpc.RpcError as error:
                if not can_go_on(error):
                    raise InferenceError(error) from error
            else:
                return
            if window.waiting:
                reply = self._run(questions.single(self._start, unary, window.waiting[0][1]))
                yield window.answer(reply)

    def _exchange(
        self, method: Method[Any, Any], window: Window[Any, Any], source: Iterator[Any], timeout_s: float | None
    ) -> Iterator[Any]:
        """One stream, until its end or the source's; a thread of gRPC's sends what is put into the queue."""
        outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        replies = self._calling.callable_of(method)(iter(outgoing.get, None), **self._calling.budget(method, timeout_s))
        try:
            for request in window.requests():
                outgoing.put(request)
            while True:
                while window.has_room:
                    orbits = next(source, None)
                    if orbits is None:
                        break
                    outgoing.put(window.add(table_of(orbits)))
                if not window.waiting:
                    return
                yield window.answer(next(replies))
        finally:
            outgoing.put(None)
            replies.cancel()
