# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's two transports side by side: what a call costs, and what attacks do. `make bench-transports`.

The same pods run twice, once with each transport; contenders take turns. Attacks are those of `make attacks`.
"""

import asyncio
import contextlib
import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import grpc

from bench.gateway import PREDICT, first_example, serving_within
from bench.pod import _free_address
from bench.processes import cpu_s, settings_of_pods, started
from bench.tables import markdown
from orrery.inference import v1

_ROOT: Final = Path(__file__).resolve().parents[1]
_REPORT: Final = _ROOT / "docs" / "benchmarks" / "transports.md"
_VARIABLE: Final = "ORRERY_GRPC_TRANSPORT"
TRANSPORTS: Final = ("grpc_h2", "grpcio")
_SCORE: Final = "/orrery.inference.v1.AnomalyService/ScoreAnomalies"
_ECHO_METHOD: Final = "/bench.Echo/Say"
_CALLERS: Final = (1, 16, 64)
_CALLS: Final = 5_000
_ROUNDS: Final = 3
_POD: Final = {"echo": "echo", "score": "anomaly", "forwarded": "front", "predict": "front"}
_WHAT: Final = {
    "echo": "echo of 100 bytes",
    "score": "ScoreAnomalies, one object, at the anomaly pod",
    "forwarded": "the same through the front",
    "predict": "Predict, one object, through the front, no cache",
}

_ECHO: Final = """
import asyncio, sys
import grpc
from gateway.serving import loops
from gateway.serving.transports.choice import chosen
from gateway.serving.transports.interface import Limits
async def echo(request, context):
    return request
async def main():
    server = chosen().build_server(Limits(1 << 20, max_streams=1024))
    server.add_registered_method_handlers("bench.Echo", {"Say": grpc.unary_unary_rpc_method_handler(echo)})
    host, _, port = sys.argv[1].rpartition(":")
    server.bind(host, int(port))
    await server.start()
    await asyncio.Event().wait()
loops.run(main())
"""


@dataclass(frozen=True, slots=True)
class _Pods:
    """Running pods of one transport: channels and process ids by name."""

    channels: Mapping[str, grpc.aio.Channel]
    pids: Mapping[str, int]

    def cpu_s(self, *names: str) -> float:
        """Processor time so far: of the pods that are named, or of all."""
        return cpu_s(self.pids[name] for name in names or self.pids)

    def resident_mb(self, name: str) -> float:
        """Resident memory."""
        text = Path(f"/proc/{self.pids[name]}/status").read_text(encoding="utf-8")
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.asynccontextmanager
async def _running(transport: str) -> AsyncIterator[_Pods]:
    names = ("model-server", "anomaly", "front", "echo")
    address = {name: _free_address() for name in names}
    settings = settings_of_pods(address) | {
        _VARIABLE: transport,
        "ORRERY_FRONT_ADDRESS": address["front"],
        "ORRERY_FRONT_METRICS_ADDRESS": _free_address(),
        "ORRERY_FRONT_CACHE_ROWS": "0",
    }
    async with contextlib.AsyncExitStack() as stack:
        pids = {}
        for name in names:
            command = ["-c", _ECHO, address["echo"]] if name == "echo" else ["-m", "gateway", name]
            pids[name] = stack.enter_context(started(command, settings))
        channels = {name: await stack.enter_async_context(grpc.aio.insecure_channel(address[name])) for name in names}
        for service in ("Prediction", "Anomaly"):
            await serving_within(channels["front"], f"orrery.inference.v1.{service}Service")
        yield _Pods(channels, pids)


def _calls(pods: _Pods) -> dict[str, Callable[[], Any]]:
    item = first_example()
    score = v1.ScoreAnomaliesRequest(objects=[item]).SerializeToString()
    predict = v1.PredictRequest(objects=[item]).SerializeToString()
    questions = {
        "echo": (_ECHO_METHOD, b"x" * 100),
        "score": (_SCORE, score),
        "forwarded": (_SCORE, score),
        "predict": (PREDICT, predict),
    }
    made: dict[str, Callable[[], Any]] = {}
    for what, (method, request) in questions.items():
        call: Any = pods.channels[_POD[what]].unary_unary(method)
        made[what] = partial(call, request, timeout=30.0)
    return made


async def _measure(pods: _Pods, what: str, callers: int) -> tuple[float, float, float]:
    """Calls a second, and processor time a call (us): of the pod that is asked, and of all pods."""
    ask = _calls(pods)[what]
    left = _CALLS

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask()

    own_s, all_s, began_s = pods.cpu_s(_POD[what]), pods.cpu_s(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    took_s = time.perf_counter() - began_s
    return (
        _CALLS / took_s,
        (pods.cpu_s(_POD[what]) - own_s) / _CALLS * 1e6,
        (pods.cpu_s() - all_s) / _CALLS * 1e6,
    )


async def _costs() -> str:
    rows, memory = [], []
    async with contextlib.AsyncExitStack() as stack:
        running = {name: await stack.enter_async_context(_running(name)) for name in TRANSPORTS}
        for what, title in _WHAT.items():
            for callers in _CALLERS:
                found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in TRANSPORTS}
                for _ in range(_ROUNDS):
                    for name, pods in running.items():
                        found[name].append(await _measure(pods, what, callers))
                for name, runs in found.items():
                    rate, own_us, all_us = (median(values) for values in zip(*runs, strict=True))
                    rows.append((title, callers, name, f"{rate:,.0f}", f"{own_us:,.0f}", f"{all_us:,.0f}"))
                    sys.stdout.write(f"{rows[-1]}\n")
                    sys.stdout.flush()
        for name, pods in running.items():
            memory.append((name, *(f"{pods.resident_mb(pod):.0f}" for pod in pods.pids)))
    costs = markdown(("call", "callers", "transport", "calls/s", "us of the asked pod", "us of all pods"), rows)
    return costs + "\n" + markdown(("resident MB afterwards", "model server", "anomaly", "front", "echo"), memory)


def _attacks(transport: str, seconds: float) -> dict[tuple[str, str], str]:
    """What each attack did to a bystander, by the attack and the pod."""
    command = [sys.executable, "-m", "tests.bystander", f"{seconds:g}"]
    environment = os.environ | {_VARIABLE: transport}
    ended = subprocess.run(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # our own command
    found = {}
    for line in ended.stdout.splitlines():
        sys.stdout.write(f"{transport} {line}\n")
        name, pod, outcome = line.split(maxsplit=2)
        found[name, pod] = outcome
    return found


def _attack_table(seconds: float) -> str:
    found = {transport: _attacks(transport, seconds) for transport in TRANSPORTS}
    rows = [
        (name, pod, *(found[transport][name, pod] for transport in TRANSPORTS)) for name, pod in found[TRANSPORTS[0]]
    ]
    return markdown(("attack", "on", *TRANSPORTS), rows)


def _main() -> None:
    seconds = float(sys.argv[1]) if sys.argv[1:] else 10.0
    before = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    where = (
        f"{dt.datetime.now(dt.UTC).date()}; {len(os.sched_getaffinity(0))} cores for all pods and the generator"
        f" (grpc.aio); load average {before} before; Python {sys.version.split()[0]}, grpcio {grpc.__version__}."
        f" Medians of {_ROUNDS} rounds of {_CALLS:,} calls, transports in turns. Written by `make bench-transports`."
    )
    costs = asyncio.run(_costs())
    attacks = (
        f"Each attack lasts {seconds:g} s; beside it a bystander asks a real question ten times a second, with a"
        " deadline of 3 s.\n\n" + _attack_table(seconds)
    )
    text = f"# gRPC's two transports\n\n{where}\n\n## What a call costs\n\n{costs}\n## Attacks\n\n{attacks}"
    _REPORT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    _main()
