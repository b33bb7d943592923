# SPDX-License-Identifier: GPL-3.0-or-later
"""A bystander of attacks, who asks real questions, and what an attack did to it.

`python -m tests.bystander [SECONDS] [NAMES]` tries attacks on a front and on a pod behind it, and prints the figures.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from orrery.inference import v1
from tests.attacks import ATTACKS
from tests.attacks.peer import columns
from tests.objects import eros
from tests.pods import PROJECT_ROOT, free_settings

# The bystander asks so often, and waits so long for an answer.
PERIOD_S, DEADLINE_S = 0.1, 3.0
# A pod gives memory back so long after an attack at the latest.
CALM_S = 12.0
# What a pod may keep of an attack's memory: caches of the allocator and of Python.
KEPT_MB = 40.0

Pods = dict[str, tuple[int, int]]
"""Ports and process ids, by the pod's name."""


@dataclass(frozen=True)
class Outcome:
    """What an attack did to a bystander and to the pods.

    Attributes:
        ended: the bystander's calls, by how they ended.
        slowest_s: of them.
        grown_mb: the most that each pod's memory grew by meanwhile.
        kept_mb: how much larger the pods' memory was once the attack had been over for a while.
        cut_off: connections of the attacker that the server ended.
        taken_mb: bytes of the attacker that the server took.
    """

    ended: Counter[str]
    slowest_s: float
    grown_mb: dict[str, float]
    kept_mb: float
    cut_off: int
    taken_mb: float

    def __str__(self) -> str:
        grown = " ".join(f"{pod} {mb:+.0f}" for pod, mb in self.grown_mb.items())
        failed = {code: count for code, count in self.ended.items() if code != "OK"}
        return (
            f"{sum(failed.values())} of {self.ended.total()} failed {failed or ''}, slowest"
            f" {self.slowest_s * 1e3:.0f} ms, {grown} MB, then {self.kept_mb:+.0f}, cut off {self.cut_off},"
            f" took {self.taken_mb:.1f} MB"
        )


@contextlib.contextmanager
def running_pods(folder: Path, **environment: str) -> Iterator[Pods]:
    """A front and an anomaly pod behind it, as processes."""
    addresses, free = free_settings(folder)
    with contextlib.ExitStack() as stack:
        pods = {}
        for name in ("anomaly", "front"):
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            command = [sys.executable, "-m", "gateway", name]
            process = subprocess.Popen(
                command, cwd=PROJECT_ROOT, env={**os.environ, **free, **environment}, stdout=log, stderr=log
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            pods[name] = (int(addresses[name].rpartition(":")[2]), process.pid)
        asyncio.run(_until_answered(pods))
        asyncio.run(_warm_up(pods))
        yield pods


def measure(name: str, pods: Pods, attacked: str, seconds: float, connections: int | None = None) -> Outcome:
    """Run an attack on a pod beside a bystander of that pod."""
    return asyncio.run(_measure(name, pods, attacked, seconds, connections))


async def _measure(name: str, pods: Pods, attacked: str, seconds: float, connections: int | None) -> Outcome:
    port, _ = pods[attacked]
    before_mb = {pod: _resident_mb(pid) for pod, (_, pid) in pods.items()}
    most_mb = dict(before_mb)

    def look() -> None:
        for pod, (_, pid) in pods.items():
            most_mb[pod] = max(most_mb[pod], _resident_mb(pid))

    command = [
        "-m",
        "tests.attacks",
        name,
        str(port),
        str(seconds + 1),
        *map(str, (connections,) if connections else ()),
    ]
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=PROJECT_ROOT, stdout=asyncio.subprocess.PIPE
    )
    ended, took_s = await _stand_by(port, seconds, look)
    ending = asyncio.ensure_future(attacker.communicate())
    while not ending.done():
        look()
        await asyncio.wait([ending], timeout=0.05)
    printed, _ = ending.result()
    cut_off, taken_bytes = map(int, printed.split())
    until_s = time.monotonic() + CALM_S
    while (kept_mb := max(_resident_mb(pid) - before_mb[pod] for pod, (_, pid) in pods.items())) > KEPT_MB:
        if time.monotonic() > until_s:
            break
        await asyncio.sleep(0.2)
    grown_mb = {pod: most_mb[pod] - before_mb[pod] for pod in pods}
    return Outcome(ended, max(took_s), grown_mb, kept_mb, cut_off, taken_bytes / 1e6)


async def _stand_by(port: int, seconds: float, look: Callable[[], None]) -> tuple[Counter[str], list[float]]:
    """How each call ended, and how long each took."""
    ended: Counter[str] = Counter()
    took_s = []

    async def timed(channel: grpc.aio.Channel) -> None:
        began_s = time.monotonic()
        ended[await _ask(channel)] += 1
        took_s.append(time.monotonic() - began_s)

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as calls:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            calls.create_task(timed(channel))
            await asyncio.sleep(PERIOD_S)
            look()
    return ended, took_s


async def _ask(channel: grpc.aio.Channel) -> str:
    try:
        await v1.AnomalyServiceStub(channel).ScoreAnomalies(
            v1.ScoreAnomaliesRequest(objects=[eros()]), timeout=DEADLINE_S
        )
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


async def _until_answered(pods: Pods) -> None:
    for port, _ in pods.values():
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(60):
            while await _ask(channel) != "OK":
                await asyncio.sleep(0.2)


async def _warm_up(pods: Pods) -> None:
    """Have threads and allocators grown to what calls of any size need, so that the attacks' share shows."""
    request = v1.ScoreAnomalyColumnsRequest.FromString(columns(5_000))
    for port, _ in pods.values():
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = v1.AnomalyServiceStub(channel).ScoreAnomalyColumns
            await asyncio.gather(*(ask(request, timeout=30) for _ in range(16)))


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if found is None:
        raise RuntimeError(f"process {pid} is gone")
    return int(found[1]) / 1024


def main(seconds: str = "10", *names: str) -> None:
    """Try the attacks that are named, or all, for so many seconds each."""
    with tempfile.TemporaryDirectory() as folder, running_pods(Path(folder)) as pods:
        for name in names or ATTACKS:
            for pod in pods:
                outcome = measure(name, pods, pod, float(seconds))
                print(f"{name:18} {pod:8} {outcome}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
