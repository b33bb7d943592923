# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call costs each pod it passes, in processor time and memory: `make sizing`."""

import asyncio
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import grpc
import httpx

from bench.processes import cpu_s
from bench.rollout_load import kinds_of_calls
from bench.tables import markdown
from bench.topology import Replica, Topology, running_topology

_REPORT: Final = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "sizing.md"
_CALLERS: Final = 8
_ROUND_S: Final = 2.0
_ROUNDS: Final = 3
_KINDS: Final = (
    "REST predict",
    "gRPC predict",
    "REST anomalies",
    "gRPC anomalies",
    "REST MOID",
    "REST simulate",
    "REST feedback",
)
_INTRODUCTION: Final = f"""
Written by `make sizing`. One of each pod behind Envoy on one machine; {_CALLERS} callers that wait for each answer and
send one object a call (`serving_config/envoy/examples`); the front's cache is off. Milliseconds of processor time that
a call costs each pod, its child processes included: medians of {_ROUNDS} rounds of {_ROUND_S:g} s, kinds in turns.
A core answers 1,000 divided by this many calls a second. Memory is what a pod holds after that, shared pages divided
among those who share them (Pss).
"""


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text(encoding="utf-8").split():
            yield from _tree(int(child))


def _pid(pod: Replica) -> int:
    if pod.process is None:
        raise RuntimeError(f"{pod.role} does not run")
    return pod.process.pid


def _cpu_s(pod: Replica) -> float:
    """Processor time of a pod so far."""
    return cpu_s(_tree(_pid(pod)))


def _mib(pod: Replica) -> float:
    kib = 0
    for pid in _tree(_pid(pod)):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


async def _round(call: Callable[[], Awaitable[Any]]) -> int:
    """How many calls are answered in a round.

    Raises:
        RuntimeError: an answer lacks what was asked for.
    """
    until = time.monotonic() + _ROUND_S

    async def caller() -> int:
        calls = 0
        while time.monotonic() < until:
            if not await call():
                raise RuntimeError("an answer without what was asked for")
            calls += 1
        return calls

    return sum(await asyncio.gather(*(caller() for _ in range(_CALLERS))))


async def _measure(topology: Topology) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of costs by kind, and of memory by pod."""
    pods = (topology.edge, *reversed(topology.replicas))
    costs: dict[str, list[list[float]]] = {kind: [] for kind in _KINDS}
    async with (
        httpx.AsyncClient(base_url=f"http://{topology.edge.address}", timeout=30.0) as http,
        grpc.aio.insecure_channel(topology.edge.address) as channel,
    ):
        kinds = kinds_of_calls(http, channel)
        for kind in _KINDS:
            await kinds[kind]()
        for _ in range(_ROUNDS):
            for kind, rounds in costs.items():
                before = [_cpu_s(pod) for pod in pods]
                calls = await _round(kinds[kind])
                rounds.append([1e3 * (_cpu_s(pod) - s) / calls for pod, s in zip(pods, before, strict=True)])
    rows = []
    for kind, rounds in costs.items():
        middles = [median(costs_ms) for costs_ms in zip(*rounds, strict=True)]
        # Less than what a pod spends on nobody is not the call's.
        rows.append([kind, *(f"{cost_ms:.2f}" if cost_ms >= 0.02 else "" for cost_ms in middles)])
    return [["ms a call", *(pod.role for pod in pods)], *rows], [[pod.role, f"{_mib(pod):.0f}"] for pod in pods]


async def _run() -> None:
    before = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    with tempfile.TemporaryDirectory(prefix="orrery-sizing-") as folder:
        async with running_topology(Path(folder), replicas=1, settings={"ORRERY_FRONT_CACHE_ROWS": "0"}) as topology:
            (header, *costs), memory = await _measure(topology)
    where = f"{dt.datetime.now(dt.UTC).date()}; {len(os.sched_getaffinity(0))} cores; load average {before} before."
    tables = [markdown(header, costs), markdown(["pod", "MiB"], memory)]
    text = "\n".join([f"# What a call costs\n{_INTRODUCTION}\n{where}\n", *tables])
    _REPORT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    asyncio.run(_run())
