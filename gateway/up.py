# SPDX-License-Identifier: GPL-3.0-or-later
"""All pods on this machine, as processes of their own: `python -m gateway up [-- COMMAND ...]`.

Waits until the front says that every service works, then runs the command, or stays until Ctrl-C. Whatever happens,
the pods are asked to drain, and are gone when this returns. Their logs go to `var/log/<pod>.log`.

Settings may protect every pod but the model server, which stays on loopback in plaintext. Whether a front with TLS is
ready is asked on its admin port, which needs no certificate.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.serving.settings import PROJECT_ROOT

Pods: TypeAlias = dict[str, subprocess.Popen[bytes]]

PODS = ("model-server", "anomaly", "simulation", "feedback", "front")
SERVICES = tuple(f"orrery.inference.v1.{name}Service" for name in ("Prediction", "Anomaly", "Simulation", "Feedback"))

# TensorFlow alone takes 20 s to import on two busy cores.
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0


class StartError(RuntimeError):
    """A pod died while starting, or the whole did not become ready in time."""


def main() -> None:
    """Start everything, run what follows "--" (or wait), stop everything; exits with the command's code."""
    arguments = sys.argv[1:]
    if arguments and (arguments[0] != "--" or len(arguments) == 1):
        sys.exit("usage: python -m gateway up [-- COMMAND ...]")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with running_pods(PROJECT_ROOT / "var" / "log") as pods:
            code = subprocess.call(arguments[1:]) if arguments else _stay(pods)  # noqa: S603  # the user's own command
    except StartError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        code = 0
    print("all pods have drained and stopped", flush=True)
    sys.exit(code)


@contextlib.contextmanager
def running_pods(logs: Path, environment: Mapping[str, str] | None = None) -> Iterator[Pods]:
    """Processes of all pods, ready while entered.

    Args:
        logs: folder of their log files.
        environment: settings on top of this process' own; they may ask for TLS and for callers.

    Raises:
        StartError: a pod died, or readiness did not come in time; the message names the log.
    """
    logs.mkdir(parents=True, exist_ok=True)
    settings = _complete({**os.environ, **(environment or {})})
    started = time.monotonic()
    pods: Pods = {}
    try:
        for name in PODS:
            with (logs / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-m", "gateway", name]
                # In sessions of their own: Ctrl-C is ours to hand on.
                pods[name] = subprocess.Popen(  # noqa: S603  # our own modules
                    command, stderr=log, stdout=log, env=settings, cwd=PROJECT_ROOT, start_new_session=True
                )
        _await_ready(pods, logs, settings.get("ORRERY_FRONT_ADMIN_ADDRESS") or _front_address(settings))
        print(f"all pods ready after {time.monotonic() - started:.1f} s; logs in {logs}", flush=True)
        yield pods
    finally:
        _stop(pods)


def _complete(settings: dict[str, str]) -> dict[str, str]:
    """Add what follows from TLS: a port for health without it, and the one backend that has none."""
    if settings.get("ORRERY_FRONT_TLS_CERTIFICATE_FILE") and not settings.get("ORRERY_FRONT_ADMIN_ADDRESS"):
        settings["ORRERY_FRONT_ADMIN_ADDRESS"] = _free_address()
    if settings.get("ORRERY_BACKEND_CA_FILE"):
        models = settings.get("ORRERY_FRONT_MODEL_SERVER_ADDRESS") or "127.0.0.1:8500"
        settings["ORRERY_FRONT_MODEL_SERVER_ADDRESS"] = f"plaintext:{models.removeprefix('plaintext:')}"
    return settings


def _free_address() -> str:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _front_address(settings: Mapping[str, str]) -> str:
    return settings.get("ORRERY_FRONT_ADDRESS", "127.0.0.1:50051")


def _await_ready(pods: Pods, logs: Path, front: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    waiting = list(SERVICES)
    with grpc.insecure_channel(front) as channel:
        checks = health_pb2_grpc.HealthStub(channel)
        while waiting:
            for name, pod in pods.items():
                if pod.poll() is not None:
                    raise StartError(f"{name} stopped with code {pod.returncode}:\n{_tail(logs / f'{name}.log')}")
            if time.monotonic() > deadline:
                raise StartError(f"not ready after {START_TIMEOUT_S:.0f} s: {', '.join(waiting)}; see {logs}")
            if _serves(checks, waiting[0]):
                del waiting[0]
            else:
                time.sleep(0.2)


def _serves(checks: health_pb2_grpc.HealthStub, service: str) -> bool:
    try:
        reply = checks.Check(health_pb2.HealthCheckRequest(service=service), timeout=1.0)
    except grpc.RpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _stay(pods: Pods) -> int:
    """Until Ctrl-C, or until a pod dies."""
    print(f"gRPC at {_front_address(os.environ)}; Ctrl-C drains and stops", flush=True)
    while True:
        for name, pod in pods.items():
            if pod.poll() is not None:
                print(f"{name} stopped with code {pod.returncode}; stopping the others", flush=True)
                return 1
        time.sleep(0.5)


def _stop(pods: Pods) -> None:
    """Front first, so that nothing asks a pod that is gone."""
    for pod in reversed(list(pods.values())):
        pod.terminate()
        try:
            pod.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pod.kill()
            pod.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
