# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway under load: real pods as processes, one load generator, every answer's grpc-status checked.

`python -m bench.gateway` writes docs/benchmarks/gateway.md. Contenders take turns within one session; what counts is
the ratio between neighbours, for a busy machine is as unfair to each.
"""

import asyncio
import contextlib
import datetime as dt
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

import grpc
import numpy as np
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.pod import _free_address
from bench.processes import settings_of_pods, started
from bench.tables import markdown
from gateway.front.tf_serving import TensorFlowServing
from orrery.inference import v1

_ROOT: Final = Path(__file__).resolve().parents[1]
_REPORT: Final = _ROOT / "docs" / "benchmarks" / "gateway.md"
_PACKAGE: Final = "/orrery.inference.v1."
PREDICT: Final = f"{_PACKAGE}PredictionService/Predict"
_SCORE: Final = f"{_PACKAGE}AnomalyService/ScoreAnomalies"
REPEATS: Final = 5
_SECONDS: Final = float(os.environ.get("ORRERY_BENCH_SECONDS", "1"))
_CONCURRENCIES: Final = (1, 16, 64)
_COLUMNS: Final = 100_000
_STREAM_MESSAGES: Final = 1_000
_MESSAGE_BYTES: Final = 64 * 1024 * 1024
OPTIONS: Final = [
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
]
_READY_WITHIN_S: Final = 180.0

# argv: its own address and, to be a relay of bytes and nothing else, another echo's.
_ECHO: Final = """
import asyncio, grpc, sys
async def main():
    relay = sys.argv[2:]
    method = "/orrery.inference.v1.PredictionService/Predict"
    onward = grpc.aio.insecure_channel(relay[0]).unary_unary(method) if relay else None
    async def echo(request, context):
        return await onward(request, timeout=30.0) if relay else request
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.method_handlers_generic_handler(
        "orrery.inference.v1.PredictionService", {"Predict": grpc.unary_unary_rpc_method_handler(echo)}
    )
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(sys.argv[1])
    await server.start()
    await server.wait_for_termination()
asyncio.run(main())
"""

Measure: TypeAlias = Callable[[], Awaitable[float]]


@contextlib.asynccontextmanager
async def pods() -> AsyncIterator[dict[str, grpc.aio.Channel]]:
    """Channels to running pods: two fronts, with and without the cache, and the echo, by name."""
    names = ("model-server", "anomaly", "front", "uncached")
    address = {name: _free_address() for name in (*names, "echo", "relay")}
    common = settings_of_pods(address)
    async with contextlib.AsyncExitStack() as stack:
        commands = {name: ["-m", "gateway", "front" if name == "uncached" else name] for name in names}
        commands["echo"] = ["-c", _ECHO, address["echo"]]
        commands["relay"] = ["-c", _ECHO, address["relay"], address["echo"]]
        for name, command in commands.items():
            own = {"ORRERY_FRONT_ADDRESS": address.get(name, ""), "ORRERY_FRONT_METRICS_ADDRESS": _free_address()}
            if name == "uncached":
                own["ORRERY_FRONT_CACHE_ROWS"] = "0"
            stack.enter_context(started(command, common | own))
        channels = {
            name: await stack.enter_async_context(grpc.aio.insecure_channel(place, options=OPTIONS))
            for name, place in address.items()
        }
        for front in ("front", "uncached"):
            for service in ("Prediction", "Anomaly"):
                await serving_within(channels[front], f"orrery.inference.v1.{service}Service")
        yield channels


async def serving_within(channel: grpc.aio.Channel, service: str) -> None:
    """Wait until a service says that it serves, three minutes at most."""
    check = health_pb2_grpc.HealthStub(channel).Check
    async with asyncio.timeout(_READY_WITHIN_S):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                answer = await check(health_pb2.HealthCheckRequest(service=service), timeout=1.0)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.2)


async def in_turns(contenders: Mapping[str, Measure]) -> dict[str, list[float]]:
    """Each once to warm up, then all in turns."""
    for measure in contenders.values():
        await measure()
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(REPEATS):
        for name, measure in contenders.items():
            found[name].append(await measure())
    return found


def closed_loop(ask: Callable[[], Awaitable[Any]], concurrency: int, seconds: float) -> Measure:
    """Calls a second of so many callers, each with one call at a time; what a call raises ends it."""

    async def measure() -> float:
        start_s = time.perf_counter()
        end_s = start_s + seconds

        async def caller() -> int:
            done = 0
            while time.perf_counter() < end_s:
                await ask()
                done += 1
            return done

        done = sum(await asyncio.gather(*(caller() for _ in range(concurrency))))
        return done / (time.perf_counter() - start_s)

    return measure


def _calls(channel: grpc.aio.Channel, method: str, request: bytes, concurrency: int) -> Measure:
    """Calls a second of one request; a status other than OK raises."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return closed_loop(lambda: call(request, timeout=30.0), concurrency, _SECONDS)


def _seconds_of(call: Callable[[], Awaitable[Any]], objects: int) -> Measure:
    """Objects a second of one call."""

    async def measure() -> float:
        start_s = time.perf_counter()
        await call()
        return objects / (time.perf_counter() - start_s)

    return measure


def _columns(count: int) -> v1.OrbitColumns:
    rng = np.random.default_rng(1)
    return v1.OrbitColumns(
        epoch_tdb_jd=[2459000.5],
        semi_major_axis_au=rng.uniform(0.7, 3.5, count),
        eccentricity=rng.uniform(0.0, 0.7, count),
        inclination_deg=rng.uniform(0.0, 60.0, count),
        longitude_of_ascending_node_deg=rng.uniform(0.0, 360.0, count),
        argument_of_perihelion_deg=rng.uniform(0.0, 360.0, count),
        absolute_magnitude_h=rng.uniform(14.0, 26.0, count),
    )


def _row(name: str, rates: list[float], yardstick: list[float]) -> tuple[str, ...]:
    middle = median(rates)
    return name, f"{middle:,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}", f"{middle / median(yardstick):.2f}"


async def single_calls(channels: Mapping[str, grpc.aio.Channel]) -> str:
    """One object a call, at several concurrencies."""
    item = first_example()
    predict = v1.PredictRequest(objects=[item]).SerializeToString()
    score = v1.ScoreAnomaliesRequest(objects=[item]).SerializeToString()
    parts = []
    for concurrency in _CONCURRENCIES:
        rates = await in_turns(
            {
                "bare grpc.aio echo of the Predict request": _calls(channels["echo"], PREDICT, predict, concurrency),
                "bare grpc.aio relay before that echo": _calls(channels["relay"], PREDICT, predict, concurrency),
                "Predict, cache off": _calls(channels["uncached"], PREDICT, predict, concurrency),
                "Predict, the same object again and again, cache on": _calls(
                    channels["front"], PREDICT, predict, concurrency
                ),
                "ScoreAnomalies, direct to the pod": _calls(channels["anomaly"], _SCORE, score, concurrency),
                "ScoreAnomalies, through the front": _calls(channels["front"], _SCORE, score, concurrency),
            }
        )
        echo = rates["bare grpc.aio echo of the Predict request"]
        header = (f"concurrency {concurrency}", "calls/s, median", "range", "of the echo")
        parts.append(markdown(header, [_row(name, found, echo) for name, found in rates.items()]))
    return "\n".join(parts)


def first_example() -> v1.NearEarthObject:
    """The first object of the examples."""
    text = (_ROOT / "client" / "examples" / "named_orbits.json").read_text(encoding="utf-8")
    return json_format.ParseDict(json.loads(text)[0]["object"], v1.NearEarthObject())


async def streams(channels: Mapping[str, grpc.aio.Channel]) -> str:
    """Single objects: one call after the other, and in one stream."""
    one = v1.PredictColumnsRequest(orbits=_columns(1))
    scored = v1.ScoreAnomalyColumnsRequest(orbits=one.orbits)
    parts = []
    for name, unary, stream, message in (
        (
            "PredictionService",
            v1.PredictionServiceStub(channels["uncached"]).PredictColumns,
            v1.PredictionServiceStub(channels["uncached"]).StreamPredict,
            one,
        ),
        (
            "AnomalyService",
            v1.AnomalyServiceStub(channels["front"]).ScoreAnomalyColumns,
            v1.AnomalyServiceStub(channels["front"]).StreamScoreAnomalies,
            scored,
        ),
    ):

        async def in_a_row(unary: Any = unary, message: Any = message) -> None:
            for _ in range(_STREAM_MESSAGES // 10):
                await unary(message, timeout=30.0)

        async def streamed(stream: Any = stream, message: Any = message) -> None:
            replies = [reply async for reply in stream(iter([message] * _STREAM_MESSAGES), timeout=60.0)]
            if len(replies) != _STREAM_MESSAGES:
                raise RuntimeError(f"{len(replies)} replies to {_STREAM_MESSAGES} messages")

        rates = await in_turns(
            {
                "unary, one after the other": _seconds_of(in_a_row, _STREAM_MESSAGES // 10),
                "one stream": _seconds_of(streamed, _STREAM_MESSAGES),
            }
        )
        first = rates["unary, one after the other"]
        header = (f"{name}, one object a message", "objects/s, median", "range", "of unary")
        parts.append(markdown(header, [_row(name, found, first) for name, found in rates.items()]))
    return "\n".join(parts)


async def columns(channels: Mapping[str, grpc.aio.Channel]) -> str:
    """100,000 objects in one call: the model server alone, the front, the anomaly pod."""
    request = v1.PredictColumnsRequest(orbits=_columns(_COLUMNS))
    bare = v1.PredictColumnsRequest(orbits=request.orbits, without_definition=True)
    scored = v1.ScoreAnomalyColumnsRequest(orbits=request.orbits)
    orbits = request.orbits
    q = np.array(orbits.semi_major_axis_au) * (1.0 - np.array(orbits.eccentricity))
    names = (
        "eccentricity",
        "inclination_deg",
        "longitude_of_ascending_node_deg",
        "argument_of_perihelion_deg",
        "absolute_magnitude_h",
    )
    raw = np.column_stack([q, *(np.array(getattr(orbits, name)) for name in names)])
    # As any client of TensorFlow Serving would: over gRPC's own channel.
    raw_channel: Any = channels["model-server"]
    models = TensorFlowServing(raw_channel, "neo_classifier")

    async def ask_raw() -> None:
        await models.predict("serving_default", {"orbits": raw}, v1.ModelSelector(), timeout=60.0)

    async def ask(stub: Any, message: Any) -> None:
        await stub(message, timeout=60.0)

    predict = v1.PredictionServiceStub(channels["front"]).PredictColumns
    score = v1.AnomalyServiceStub(channels["front"]).ScoreAnomalyColumns
    direct = v1.AnomalyServiceStub(channels["anomaly"]).ScoreAnomalyColumns
    rates = await in_turns(
        {
            "raw Predict to the model server, no exact rule": _seconds_of(ask_raw, _COLUMNS),
            "PredictColumns through the front": _seconds_of(lambda: ask(predict, request), _COLUMNS),
            "PredictColumns without the definition": _seconds_of(lambda: ask(predict, bare), _COLUMNS),
            "ScoreAnomalyColumns, direct to the pod": _seconds_of(lambda: ask(direct, scored), _COLUMNS),
            "ScoreAnomalyColumns through the front": _seconds_of(lambda: ask(score, scored), _COLUMNS),
        }
    )
    first = rates["raw Predict to the model server, no exact rule"]
    header = (f"{_COLUMNS:,} objects a call", "objects/s, median", "range", "of the raw call")
    return markdown(header, [_row(name, found, first) for name, found in rates.items()])


async def _run() -> None:
    load = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    sections: dict[str, str] = {}
    async with pods() as channels:
        for title, measure in (("Single calls", single_calls), ("Streams", streams), ("Columns", columns)):
            sections[title] = await measure(channels)
            sys.stdout.write(f"## {title}\n\n{sections[title]}\n")
            sys.stdout.flush()
    after = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    where = (
        f"{dt.datetime.now(dt.UTC).date()}; {len(os.sched_getaffinity(0))} cores for all pods and the load generator; "
        f"load average {load} before, {after} after; Python {sys.version.split()[0]}, grpcio {grpc.__version__}. "
        f"Contenders in turns in one session, medians of {REPEATS}, runs of {_SECONDS:g} s; a call that did not end "
        "with OK would have ended the run. Written by `python -m bench.gateway`."
    )
    text = f"# The gateway under load\n\n{where}\n\n"
    text += "\n\n".join(f"## {title}\n\n{body.strip()}" for title, body in sections.items())
    _REPORT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_run())
