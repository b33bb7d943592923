# SPDX-License-Identifier: Apache-2.0
"""A small typed client: one method a question, sensible deadlines, decoded refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from orrery.inference import v1
from orrery.inference.channel import open_channel
from orrery.inference.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable


class InferenceClient:
    """Asks the gateway. Use as a context manager; safe to share between threads.

    Every method raises `InferenceError`, also where the gateway cannot be reached.
    """

    def __init__(self, target: str = "127.0.0.1:50051", *, timeout_s: float = 10.0) -> None:
        """Connect lazily.

        Args:
            target: where the front listens.
            timeout_s: of quick questions; `simulate` has its own.
        """
        self._channel = open_channel(target)
        self._timeout_s = timeout_s
        self._prediction = v1.PredictionServiceStub(self._channel)
        self._anomaly = v1.AnomalyServiceStub(self._channel)
        self._simulation = v1.SimulationServiceStub(self._channel)

    def predict(
        self, objects: Iterable[v1.NearEarthObject], *, model: v1.ModelSelector | None = None
    ) -> v1.PredictResponse:
        """Is it potentially hazardous, and which orbit class? 1 to 1,000 objects."""
        request = v1.PredictRequest(objects=objects, model=model)
        response: v1.PredictResponse = _answer(self._prediction.Predict, request, self._timeout_s)
        return response

    def score_anomalies(
        self, objects: Iterable[v1.NearEarthObject], *, explain: bool = False, model: v1.ModelSelector | None = None
    ) -> v1.ScoreAnomaliesResponse:
        """How unusual is it, and why? 1 to 1,000 objects."""
        request = v1.ScoreAnomaliesRequest(objects=objects, explain=explain, model=model)
        response: v1.ScoreAnomaliesResponse = _answer(self._anomaly.ScoreAnomalies, request, self._timeout_s)
        return response

    def compute_moid(
        self,
        objects: Iterable[v1.NearEarthObject],
        *,
        planets: Iterable[v1.Planet.ValueType] = (),
        certify: bool = False,
    ) -> v1.ComputeMoidResponse:
        """How near do the orbits come? 1 to 1,000 objects, to Earth unless told; proved if certify."""
        request = v1.ComputeMoidRequest(objects=objects, planets=planets, certify=certify)
        response: v1.ComputeMoidResponse = _answer(self._simulation.ComputeMoid, request, self._timeout_s)
        return response

    def simulate(self, scenario: v1.Scenario, *, timeout_s: float = 60.0) -> v1.SimulationResult:
        """What if?"""
        request = v1.SimulateRequest(scenario=scenario)
        response: v1.SimulateResponse = _answer(self._simulation.Simulate, request, timeout_s)
        return response.result

    def stream_simulate(self, scenario: v1.Scenario, *, timeout_s: float = 300.0) -> Iterator[v1.SimulateUpdate]:
        """What if, with progress; closing the iterator cancels the simulation."""
        call = self._simulation.StreamSimulate(v1.SimulateRequest(scenario=scenario), timeout=timeout_s)
        try:
            yield from call
        except grpc.RpcError as error:
            raise InferenceError(error) from error
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _answer(method: Callable[..., Any], request: Any, timeout_s: float) -> Any:
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise InferenceError(error) from error
