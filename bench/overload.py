# SPDX-License-Identifier: GPL-3.0-or-later
"""Five times more calls than a pod can answer: how many are answered still, and what the others are told.

`python -m bench.overload` writes docs/benchmarks/overload.md. Calls arrive at a fixed rate whether or not earlier ones
have been answered, over several connections, each call with a deadline; what counts is the answers within it.
"""

import asyncio
import contextlib
import datetime as dt
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import grpc

from bench.gateway import serving_within
from bench.pod import _free_address
from bench.tables import markdown
from orrery.inference import InferenceError, v1

_ROOT: Final = Path(__file__).resolve().parents[1]
_REPORT: Final = _ROOT / "docs" / "benchmarks" / "overload.md"
_METHOD: Final = "/orrery.inference.v1.AnomalyService/ScoreAnomalies"
_SERVICE: Final = "orrery.inference.v1.AnomalyService"
_OBJECTS: Final = 500
_DEADLINE_S: Final = 1.0
_SECONDS: Final = float(os.environ.get("ORRERY_BENCH_SECONDS", "4"))
_REPEATS: Final = 3
_CONNECTIONS: Final = (4, 64)
_FACTOR: Final = 5


@dataclass(slots=True)
class Outcome:
    """What became of the calls of one run.

    Attributes:
        ended: calls by status, "OK" or a reason; a bare "RESOURCE_EXHAUSTED" comes before anything is read.
        latencies_s: of the calls that were answered.
        told_when: refusals that carried RetryInfo.
        seconds: how long calls were sent.
    """

    ended: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    told_when: int = 0
    seconds: float = 0.0

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return self.ended["OK"] / self.seconds

    @property
    def refused(self) -> int:
        """Calls refused at once."""
        return self.ended["OVERLOADED"] + self.ended["RESOURCE_EXHAUSTED"]


def request(objects: int = _OBJECTS) -> bytes:
    """A call that costs the pod some ten milliseconds, and the load generator far less."""
    elements = v1.OrbitalElements(
        epoch_tdb_jd=2461000.5, semi_major_axis_au=1.458, eccentricity=0.223, inclination_deg=10.8
    )
    item = v1.NearEarthObject(elements=elements, physical=v1.PhysicalParameters(absolute_magnitude_h=10.4))
    return v1.ScoreAnomaliesRequest(objects=[item] * objects).SerializeToString()


async def offer(
    address: str, body: bytes, *, rate_per_s: float, connections: int, seconds: float, deadline_s: float
) -> Outcome:
    """Send calls at a rate, over so many connections in turn, whatever becomes of them."""
    outcome = Outcome()

    async def one(call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]) -> None:
        start_s = time.perf_counter()
        try:
            await call(body, timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            refusal = InferenceError(error)
            outcome.ended[refusal.reason or error.code().name] += 1
            outcome.told_when += refusal.retry_after_s is not None
        else:
            outcome.ended["OK"] += 1
            outcome.latencies_s.append(time.perf_counter() - start_s)

    async with contextlib.AsyncExitStack() as stack:
        calls: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = []
        for number in range(connections):
            # Else channels of one process share a connection.
            options = [("grpc.use_local_subchannel_pool", 1), ("orrery.number", number)]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options))
            await channel.channel_ready()
            calls.append(channel.unary_unary(_METHOD))
        begin_s = time.perf_counter()
        sent = 0
        tasks: set[asyncio.Task[None]] = set()
        while (elapsed_s := time.perf_counter() - begin_s) < seconds:
            while sent < elapsed_s * rate_per_s:
                task = asyncio.create_task(one(calls[sent % connections]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                sent += 1
            await asyncio.sleep(0.002)
        outcome.seconds = time.perf_counter() - begin_s
        await asyncio.gather(*tasks)
    return outcome


async def capacity_per_s(address: str, body: bytes, *, seconds: float, concurrency: int = 16) -> float:
    """Answers a second of so many callers with one call at a time."""
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_METHOD)
        begin_s = time.perf_counter()

        async def caller() -> int:
            done = 0
            while time.perf_counter() - begin_s < seconds:
                await call(body, timeout=30.0)
                done += 1
            return done

        done = sum(await asyncio.gather(*(caller() for _ in range(concurrency))))
        return done / (time.perf_counter() - begin_s)


@contextlib.asynccontextmanager
async def pod(**settings: str) -> AsyncIterator[str]:
    """The address of a running anomaly pod; settings by their names without the prefix."""
    address = _free_address()
    own = {f"ORRERY_ANOMALY_{name.upper()}": value for name, value in settings.items()}
    environment = os.environ | own
    environment |= {"ORRERY_ANOMALY_ADDRESS": address, "ORRERY_ANOMALY_METRICS_ADDRESS": _free_address()}
    process = subprocess.Popen(  # noqa: ASYNC220  # our own command; nothing else runs yet
        [sys.executable, "-m", "gateway", "anomaly"], env=environment, cwd=_ROOT, stderr=subprocess.DEVNULL
    )
    cores = sorted(os.sched_getaffinity(0))
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            await serving_within(channel, _SERVICE)
        if len(cores) > 1:
            # Else a load generator five times as busy would take the pod's processor away.
            _pin(process.pid, cores[:1])
            _pin(os.getpid(), cores[1:])
        yield address
    finally:
        _pin(os.getpid(), cores)
        process.terminate()
        process.wait()


def _pin(pid: int, cores: Sequence[int]) -> None:
    """All threads of a process, those to come included."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


async def _rows(variants: dict[str, dict[str, str]], factor: float) -> list[tuple[str, ...]]:
    rows = []
    body = request()
    for name, settings in variants.items():
        async with pod(**settings) as address:
            await capacity_per_s(address, body, seconds=1.0)
            for connections in _CONNECTIONS:
                found = []
                for _ in range(_REPEATS):
                    once = await capacity_per_s(address, body, seconds=_SECONDS / 2)
                    outcome = await offer(
                        address,
                        body,
                        rate_per_s=factor * once,
                        connections=connections,
                        seconds=_SECONDS,
                        deadline_s=_DEADLINE_S,
                    )
                    found.append((outcome.goodput / once, once, outcome))
                    told = f"{name}, {connections}: {outcome.goodput / once:.2f} of {once:,.0f}/s"
                    print(told, dict(outcome.ended), flush=True)
                rows.append(_row(name, connections, found))
    return rows


def _row(name: str, connections: int, found: list[tuple[float, float, Outcome]]) -> tuple[str, ...]:
    ratios = [ratio for ratio, _, _ in found]
    refused = sum(outcome.refused for _, _, outcome in found)
    told = sum(outcome.told_when for _, _, outcome in found)
    sent = sum(sum(outcome.ended.values()) for _, _, outcome in found)
    late = sum(outcome.ended["DEADLINE_EXCEEDED"] for _, _, outcome in found)
    slowest_s = [quantiles(outcome.latencies_s, n=100)[98] for _, _, outcome in found if len(outcome.latencies_s) > 1]
    return (
        name,
        str(connections),
        f"{median(once for _, once, _ in found):,.0f}",
        f"{median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{refused / sent:.0%}",
        f"{told / refused:.1%}" if refused else "none refused",
        f"{late / sent:.0%}",
        f"{median(slowest_s) * 1e3:,.0f}" if slowest_s else "",
    )


VARIANTS: Final[dict[str, dict[str, str]]] = {
    "as shipped": {},
    "the limit before reading alone (64 calls)": {"calls_under_way": "100000", "maximum_concurrent_rpcs": "64"},
    "128 streams a connection, 256 calls": {
        "calls_under_way": "100000",
        "maximum_concurrent_rpcs": "256",
        "max_concurrent_streams": "128",
    },
}


async def _run() -> None:
    header = (
        "limits",
        "connections",
        "calls/s at once",
        "goodput of it",
        "range",
        "refused",
        "of them told when to come back",
        "too late",
        "p99 of answers, ms",
    )
    table = markdown(header, await _rows(VARIANTS, _FACTOR))
    where = (
        f"{dt.datetime.now(dt.UTC).date()}; {len(os.sched_getaffinity(0))} cores for pod and load generator; Python "
        f"{sys.version.split()[0]}, grpcio {grpc.__version__}. Calls of {_OBJECTS} objects to one anomaly pod, sent at "
        f"{_FACTOR} times the rate that 16 callers in a closed loop got just before, for {_SECONDS:g} s, deadline "
        f"{_DEADLINE_S:g} s; medians of {_REPEATS}. Written by `make overload`."
    )
    _REPORT.write_text(f"# Overload\n\n{where}\n\n{table}", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_run())
