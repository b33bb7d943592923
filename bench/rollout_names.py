# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout of fronts under callers that go past the edge, by a name whose addresses a resolver keeps for 30 s."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import grpc
from google.protobuf import json_format

from bench.caching_resolver import KEPT_S, CachingResolver, running_resolver
from bench.pod import _free_address
from bench.topology import Numbers, Replica, numbers_of, running_topology
from orrery.inference import v1
from orrery.inference.channel import open_async_channel

HEADER: Final = ("callers", "minReady s", "preStop s", "calls", "lost")
INTRODUCTION: Final = f"""
## Past the edge

Callers that ask the fronts themselves, by the headless name: plain gRPC channels without retries, and the client's. The
name is answered by a DNS server that keeps its answers for {KEPT_S:g} s, as a cluster's does. Both fronts are replaced
as a Deployment replaces them: the new one starts at an address of its own and is ready for `minReadySeconds`, then the
old one's address goes and its preStop begins. First with 5 s each, as they were, then with the numbers of `k8s/base`.
"""
_EXAMPLE: Final = Path(__file__).resolve().parents[1] / "serving_config" / "envoy" / "examples" / "Predict.json"
_NAME: Final = "front.orrery.svc.cluster.local"
_FRONTS: Final = 2
_DEADLINE_S: Final = 5.0
_PAUSE_S: Final = 0.05
# Callers notice what a rollout did to them when answers that were kept are over.
_SETTLE_S: Final = KEPT_S + 10.0
_EARLIER: Final = Numbers(5.0, {}, 5.0)
_ROUND_ROBIN: Final = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_CALLERS: Final = {
    "gRPC, pick_first": None,
    "gRPC, round_robin": _ROUND_ROBIN,
    "the client": "",
}


@dataclasses.dataclass(slots=True)
class Result:
    """What callers of one kind met."""

    calls: int = 0
    lost: Counter[str] = dataclasses.field(default_factory=Counter)


async def measure() -> list[tuple[str, ...]]:
    """Both rollouts; the rows of `HEADER`."""
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(prefix="orrery-names-") as folder:
        async with running_topology(Path(folder), replicas=1) as topology:
            pattern = next(pod for pod in topology.replicas if pod.role == "front")
            stated = numbers_of("front")
            earlier = dataclasses.replace(_EARLIER, settings=stated.settings)
            for numbers in (earlier, stated):
                for name, result in (await _roll(pattern, numbers, Path(folder))).items():
                    row = (name, f"{numbers.min_ready_s:g}", f"{numbers.pre_stop_s:g}", f"{result.calls:,}")
                    rows.append((*row, str(result.lost.total())))
                    sys.stdout.write(" | ".join(rows[-1]) + f" | {dict(result.lost)}\n")
                    sys.stdout.flush()
    return rows


async def _roll(pattern: Replica, numbers: Numbers, folder: Path) -> Mapping[str, Result]:
    """Replace all fronts, one after the other, as a Deployment with maxSurge 1 and maxUnavailable 0."""
    port = _free_address().rpartition(":")[2]
    # Each its own address of loopback, as pods have their own.
    hosts = (f"127.0.1.{number}" for number in itertools.count(1))
    endings: list[asyncio.Task[int]] = []
    async with running_resolver() as resolver:
        fronts = [_front(pattern, f"{next(hosts)}:{port}", numbers, folder) for _ in range(_FRONTS)]
        try:
            for front in fronts:
                await _admit(front, resolver)
            results: dict[str, Result] = {name: Result() for name in _CALLERS}
            async with _calling(f"{resolver.target}{_NAME}:{port}", results):
                await asyncio.sleep(_SETTLE_S)
                if lost := {name: result.lost for name, result in results.items() if result.lost}:
                    raise RuntimeError(f"calls were lost before the rollout: {lost}")
                for old in tuple(fronts):
                    fronts.append(_front(pattern, f"{next(hosts)}:{port}", numbers, folder))
                    await _admit(fronts[-1], resolver)
                    await asyncio.sleep(numbers.min_ready_s)
                    resolver.addresses.remove(_host(old))
                    endings.append(asyncio.create_task(_end(old)))
                await asyncio.gather(*endings)
                await asyncio.sleep(_SETTLE_S)
        finally:
            for front in fronts:
                await front.stop()
    return results


def _front(pattern: Replica, address: str, numbers: Numbers, folder: Path) -> Replica:
    own = {"ORRERY_FRONT_ADDRESS": address, "ORRERY_FRONT_METRICS_ADDRESS": _free_address()}
    own["ORRERY_FRONT_PLAINTEXT_ALLOWED"] = own["ORRERY_FRONT_ANONYMOUS_ALLOWED"] = "true"
    return Replica("front", address, pattern.environment | own, folder / f"{address}.log", numbers)


async def _admit(front: Replica, resolver: CachingResolver) -> None:
    front.start()
    await front.ready()
    resolver.addresses.append(_host(front))


async def _end(front: Replica) -> int:
    await asyncio.sleep(front.numbers.pre_stop_s)
    return await front.stop()


def _host(front: Replica) -> str:
    return front.address.partition(":")[0]


@contextlib.asynccontextmanager
async def _calling(target: str, results: Mapping[str, Result]) -> AsyncIterator[None]:
    """Call with a channel of each kind while entered."""
    stopped = asyncio.Event()
    channels = {name: _channel(target, config) for name, config in _CALLERS.items()}
    callers = [asyncio.create_task(_call(channels[name], results[name], stopped)) for name in channels]
    try:
        yield
    finally:
        stopped.set()
        await asyncio.gather(*callers)
        for channel in channels.values():
            await channel.close()


def _channel(target: str, config: str | None) -> grpc.aio.Channel:
    """A plain channel with a service config or none, or with "" the client's own."""
    if config == "":
        return open_async_channel(target)
    options: list[tuple[str, str | int]] = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    if config is not None:
        options.append(("grpc.service_config", config))
    return grpc.aio.insecure_channel(target, options=options)


async def _call(channel: grpc.aio.Channel, result: Result, stopped: asyncio.Event) -> None:
    predict = v1.PredictionServiceStub(channel).Predict
    request = json_format.ParseDict(json.loads(_EXAMPLE.read_text(encoding="utf-8")), v1.PredictRequest())
    while not stopped.is_set():
        result.calls += 1
        try:
            await predict(request, timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            result.lost[error.code().name] += 1
        await asyncio.sleep(_PAUSE_S)
