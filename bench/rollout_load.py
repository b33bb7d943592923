# SPDX-License-Identifier: GPL-3.0-or-later
"""A mixed load through the edge, every answer looked at: callers that do not retry."""

import asyncio
import contextlib
import itertools
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from google.protobuf import json_format

from orrery.inference import v1

_EXAMPLES: Final = Path(__file__).resolve().parents[1] / "serving_config" / "envoy" / "examples"
_DEADLINE_S: Final = 30.0
_PAUSE_S: Final = 0.02


class Load:
    """Callers in turns of all kinds of calls, until told to stop.

    Attributes:
        answered: calls that ended well, by kind.
        lost: what the others said.
        slowest_s: the longest call since `mark`.
    """

    def __init__(self, edge: str, callers: int) -> None:
        """Aim at an edge.

        Args:
            edge: host:port.
            callers: at a time.
        """
        self.answered: Counter[str] = Counter()
        self.lost: list[str] = []
        self.slowest_s = 0.0
        self._edge = edge
        self._callers = callers

    def mark(self) -> tuple[int, int]:
        """Calls answered and lost so far; the slowest is counted anew."""
        self.slowest_s = 0.0
        return sum(self.answered.values()), len(self.lost)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call while entered."""
        stopped = asyncio.Event()
        async with (
            httpx.AsyncClient(base_url=f"http://{self._edge}", timeout=_DEADLINE_S) as http,
            grpc.aio.insecure_channel(self._edge, options=[("grpc.enable_retries", 0)]) as channel,
        ):
            kinds = kinds_of_calls(http, channel)
            callers = [asyncio.create_task(self._call(kinds, i, stopped)) for i in range(self._callers)]
            try:
                yield
            finally:
                stopped.set()
                await asyncio.gather(*callers)

    async def _call(
        self, kinds: Mapping[str, Callable[[], Awaitable[Any]]], first: int, stopped: asyncio.Event
    ) -> None:
        for name in itertools.islice(itertools.cycle(kinds), first, None):
            if stopped.is_set():
                return
            begun_s = time.perf_counter()
            try:
                answer = await kinds[name]()
            except (grpc.aio.AioRpcError, httpx.HTTPError) as error:
                self.lost.append(f"{name}: {error!r:.300}")
            else:
                if answer:
                    self.answered[name] += 1
                else:
                    self.lost.append(f"{name}: an answer without what was asked for")
            self.slowest_s = max(self.slowest_s, time.perf_counter() - begun_s)
            await asyncio.sleep(_PAUSE_S)


def kinds_of_calls(http: httpx.AsyncClient, channel: grpc.aio.Channel) -> dict[str, Callable[[], Awaitable[Any]]]:
    """By name, one call each; what it gives is false if the answer lacks what was asked for."""
    predict = v1.PredictionServiceStub(channel).Predict
    score = v1.AnomalyServiceStub(channel).ScoreAnomalies
    simulate = v1.SimulationServiceStub(channel).StreamSimulate

    async def post(path: str, example: str, key: str) -> Any:
        reply = await http.post(path, json=_example(example))
        reply.raise_for_status()
        return reply.json().get(key)

    async def vote() -> Any:
        vote = _example("SubmitClassification") | {"request_id": str(uuid.uuid4())}
        reply = await http.post("/api/feedback", json=vote)
        reply.raise_for_status()
        return reply.json()

    async def lines() -> Any:
        reply = await http.post("/api/simulate/stream", json=_example("StreamSimulate"))
        reply.raise_for_status()
        *_, result, end = map(json.loads, reply.text.splitlines())
        return "result" in result and end == {"complete": True}

    async def grpc_predict() -> Any:
        return (await predict(_message(v1.PredictRequest, "Predict"), timeout=_DEADLINE_S)).predictions

    async def grpc_score() -> Any:
        return (await score(_message(v1.ScoreAnomaliesRequest, "ScoreAnomalies"), timeout=_DEADLINE_S)).scores

    async def grpc_stream() -> Any:
        updates = [
            update async for update in simulate(_message(v1.SimulateRequest, "StreamSimulate"), timeout=_DEADLINE_S)
        ]
        return updates and updates[-1].HasField("result")

    return {
        "REST predict": lambda: post("/api/predict", "Predict", "predictions"),
        "gRPC predict": grpc_predict,
        "REST anomalies": lambda: post("/api/anomalies", "ScoreAnomalies", "scores"),
        "gRPC anomalies": grpc_score,
        "REST MOID": lambda: post("/api/moid", "ComputeMoid", "objects"),
        "REST feedback": vote,
        "REST simulate": lambda: post("/api/simulate", "Simulate", "result"),
        "REST stream": lines,
        "gRPC stream": grpc_stream,
    }


def _example(name: str) -> Any:
    return json.loads((_EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def _message(cls: type[Any], name: str) -> Any:
    return json_format.ParseDict(_example(name), cls())
