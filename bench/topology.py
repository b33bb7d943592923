# SPDX-License-Identifier: GPL-3.0-or-later
"""Two of each pod behind a real Envoy on one machine, with the numbers that k8s/base gives a pod's end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.pod import _free_address

_ROOT: Final = Path(__file__).resolve().parents[1]
_PACKAGE: Final = "orrery.inference.v1."
# By role: its manifest, and the names that it serves when it is ready. The embedded model server drains, which
# TensorFlow Serving does not; its manifest waits longer instead.
_ROLES: Final = {
    "model-server": ("tf-serving", ("",)),
    "anomaly": ("anomaly", (f"{_PACKAGE}AnomalyService",)),
    "simulation": ("simulation", (f"{_PACKAGE}SimulationService",)),
    "feedback": ("feedback", (f"{_PACKAGE}FeedbackService",)),
    "front": (
        "front",
        tuple(f"{_PACKAGE}{name}Service" for name in ("Prediction", "Anomaly", "Simulation", "Feedback")),
    ),
}
_NUMBERS: Final = ("_GRACE_S", "_MAX_CONNECTION_AGE_S", "_MAX_CONNECTION_AGE_GRACE_S", "_DRAIN_DELAY_S")
_READY_WITHIN_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a manifest says of a pod's end.

    Attributes:
        pre_stop_s: between the decision and SIGTERM.
        settings: of the pod, as environment.
        min_ready_s: for how long a new pod must be ready before the next one goes.
    """

    pre_stop_s: float
    settings: Mapping[str, str]
    min_ready_s: float = 0.0


def numbers_of(manifest: str) -> Numbers:
    """Read a manifest of k8s/base."""
    text = (_ROOT / "k8s" / "base" / f"{manifest}.yaml").read_text(encoding="utf-8")
    workloads = [found for found in yaml.safe_load_all(text) if found["kind"] in {"Deployment", "StatefulSet"}]
    spec = workloads[0]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    stated = {entry["name"]: entry.get("value") for entry in container.get("env", ())}
    settings = {name: value for name, value in stated.items() if value and name.endswith(_NUMBERS)}
    pre_stop_s = float(container["lifecycle"]["preStop"]["sleep"]["seconds"])
    return Numbers(pre_stop_s, settings, float(spec["minReadySeconds"]))


@dataclass(slots=True)
class Replica:
    """One pod: where it listens, what its manifest says, and its process."""

    role: str
    address: str
    environment: dict[str, str]
    log: Path
    numbers: Numbers
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start its process."""
        environment = os.environ | self.numbers.settings | self.environment
        command = [sys.executable, "-m", "gateway", self.role]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=_ROOT, stdout=log, stderr=log)  # noqa: S603  # our own modules

    async def ready(self) -> None:
        """Wait until it serves.

        Raises:
            RuntimeError: it ended, or did not get ready in time.
        """
        deadline = time.monotonic() + _READY_WITHIN_S
        async with grpc.aio.insecure_channel(self.address) as channel:
            checks = health_pb2_grpc.HealthStub(channel)
            for service in _ROLES[self.role][1]:
                while not await _serves(checks, service):
                    if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"{self.role} did not get ready: see {self.log}")
                    await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """SIGTERM, and its exit code when it is gone."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait)

    async def restart(self) -> int:
        """As the kubelet would, in place; the exit code of the old process."""
        await asyncio.sleep(self.numbers.pre_stop_s)
        code = await self.stop()
        self.start()
        await self.ready()
        return code


@dataclass(frozen=True, slots=True)
class Topology:
    """Envoy, and the replicas in the order of a rollout."""

    edge: Replica
    replicas: tuple[Replica, ...]


@contextlib.asynccontextmanager
async def running_topology(
    folder: Path, replicas: int = 2, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Topology]:
    """Everything, ready while entered.

    Args:
        folder: for logs and votes.
        replicas: of each pod.
        settings: of all pods, on top of those that make a topology of them.
    """
    pods: dict[str, list[Replica]] = {}
    for role, (manifest, _) in _ROLES.items():
        numbers = numbers_of(manifest)
        made = [_environment(role, pods, folder) for _ in range(replicas)]
        pods[role] = [
            Replica(role, address, {**environment, **(settings or {})}, folder / f"{role}-{i}.log", numbers)
            for i, (address, environment) in enumerate(made)
        ]
    edge, health = _free_address(), _free_address()
    environment = {"ORRERY_EDGE_ADDRESS": edge, "ORRERY_EDGE_METRICS_ADDRESS": health}
    environment["ORRERY_EDGE_FRONT_ADDRESSES"] = ",".join(pod.address for pod in pods["front"])
    envoy = Replica("edge", edge, environment, folder / "edge.log", Numbers(0.0, {}))
    everything = [envoy, *(pod for role in reversed(_ROLES) for pod in pods[role])]
    try:
        for pod in everything:
            pod.start()
        for pod in everything[1:]:
            await pod.ready()
        await asyncio.to_thread(_await_healthy, health)
        yield Topology(envoy, tuple(everything[1:]))
    finally:
        # The edge first, then the fronts: nothing asks a pod that is gone.
        for pod in everything:
            await pod.stop()


def _environment(role: str, pods: Mapping[str, list[Replica]], folder: Path) -> tuple[str, dict[str, str]]:
    prefix = f"ORRERY_{role.upper().replace('-', '_')}"
    address = _free_address()
    second = "STATUS" if role == "model-server" else "METRICS"
    environment = {f"{prefix}_ADDRESS": address, f"{prefix}_{second}_ADDRESS": _free_address()}
    if role == "front":
        for backend, replicas in pods.items():
            name = backend.upper().replace("-", "_")
            environment[f"ORRERY_FRONT_{name}_ADDRESS"] = "ipv4:" + ",".join(pod.address for pod in replicas)
    if role == "simulation":
        environment |= {"ORRERY_SIMULATION_WORKERS": "1", "ORRERY_ASTEROID_KERNEL": ""}
    if role == "feedback":
        # One SQLite for all: on one machine they may share it.
        secret = folder / "secret"
        secret.write_text("a secret of this run alone, long enough", encoding="utf-8")
        environment |= {"ORRERY_FEEDBACK_FOLDER": str(folder), "ORRERY_FEEDBACK_SECRET_FILE": str(secret)}
    return address, environment


async def _serves(checks: health_pb2_grpc.HealthStub, service: str) -> bool:
    try:
        reply = await checks.Check(health_pb2.HealthCheckRequest(service=service), timeout=1.0)
    except grpc.aio.AioRpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _await_healthy(address: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/health", timeout=1.0):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
