# SPDX-License-Identifier: GPL-3.0-or-later
"""All pods and the edge on this machine, as processes of their own: `python -m gateway up [-- COMMAND ...]`.

Waits until the front says that every service works and the edge that it has a front, then runs the command, or stays
until Ctrl-C. Whatever happens, all are asked to drain, and are gone when this returns. Their logs go to
`var/log/<pod>.log`.

Settings may protect every pod but the model server, which stays on loopback in plaintext. Whether a front with TLS is
ready is asked on its health port, which needs no certificate; the edge asks it with the pods' own certificates.
"""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.serving.settings import PROJECT_ROOT

Pods: TypeAlias = dict[str, subprocess.Popen[bytes]]

PODS = ("model-server", "anomaly", "simulation", "feedback", "front")
# What the edge needs beside them; without it everything but REST and gRPC-Web is there.
EDGE_PACKAGES = ("envoy", "jinja2", "flask_swagger_ui")
SERVICES = tuple(f"orrery.inference.v1.{name}Service" for name in ("Prediction", "Anomaly", "Simulation", "Feedback"))

FRONT = "127.0.0.1:50051"
EDGE = "127.0.0.1:8080"
EDGE_METRICS = "127.0.0.1:9108"

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
        for name in (*PODS, *_edge(settings)):
            with (logs / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-m", "gateway", name]
                # In sessions of their own: Ctrl-C is ours to hand on.
                pods[name] = subprocess.Popen(  # noqa: S603  # our own modules
                    command, stderr=log, stdout=log, env=settings, cwd=PROJECT_ROOT, start_new_session=True
                )
        _await_ready(pods, logs, settings)
        print(f"all pods ready after {time.monotonic() - started:.1f} s; logs in {logs}", flush=True)
        yield pods
    finally:
        _stop(pods)


def _complete(settings: dict[str, str]) -> dict[str, str]:
    """Add what follows from TLS: a port for health without it, the edge's certificates, the backend that has none."""
    if settings.get("ORRERY_FRONT_TLS_CERTIFICATE_FILE"):
        settings.setdefault("ORRERY_FRONT_HEALTH_ADDRESS", _free_address())
        for name in ("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE"):
            if path := settings.get(f"ORRERY_BACKEND_{name}"):
                settings.setdefault(f"ORRERY_EDGE_FRONT_{name}", path)
        settings.setdefault("ORRERY_EDGE_FRONT_SERVER_NAME", settings.get("ORRERY_BACKEND_SERVER_NAME") or "localhost")
    if settings.get("ORRERY_BACKEND_CA_FILE"):
        models = settings.get("ORRERY_FRONT_MODEL_SERVER_ADDRESS") or "127.0.0.1:8500"
        settings["ORRERY_FRONT_MODEL_SERVER_ADDRESS"] = f"plaintext:{models.removeprefix('plaintext:')}"
    return settings


def _free_address() -> str:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _front_address(settings: Mapping[str, str]) -> str:
    return settings.get("ORRERY_FRONT_ADDRESS", FRONT)


def _edge(settings: Mapping[str, str]) -> tuple[str, ...]:
    """The edge, if it is installed and can trust the front."""
    absent = [name for name in EDGE_PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        print(f"no REST and no gRPC-Web: {', '.join(absent)} not installed (the extra `edge`)", flush=True)
        return ()
    if settings.get("ORRERY_FRONT_TLS_CERTIFICATE_FILE") and not settings.get("ORRERY_EDGE_FRONT_CA_FILE"):
        print("no REST and no gRPC-Web: the front has TLS, and ORRERY_EDGE_FRONT_CA_FILE is not set", flush=True)
        return ()
    return ("edge",)


def _await_ready(pods: Pods, logs: Path, settings: Mapping[str, str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with grpc.insecure_channel(settings.get("ORRERY_FRONT_HEALTH_ADDRESS") or _front_address(settings)) as channel:
        checks = health_pb2_grpc.HealthStub(channel)
        waiting: dict[str, Callable[[], bool]] = {service: partial(_serves, checks, service) for service in SERVICES}
        if "edge" in pods:
            waiting["edge"] = partial(_has_a_front, settings.get("ORRERY_EDGE_METRICS_ADDRESS", EDGE_METRICS))
        while waiting:
            for name, pod in pods.items():
                if pod.poll() is not None:
                    raise StartError(f"{name} stopped with code {pod.returncode}:\n{_tail(logs / f'{name}.log')}")
            if time.monotonic() > deadline:
                raise StartError(f"not ready after {START_TIMEOUT_S:.0f} s: {', '.join(waiting)}; see {logs}")
            name, is_ready = next(iter(waiting.items()))
            if is_ready():
                del waiting[name]
            else:
                time.sleep(0.2)


def _has_a_front(edge_metrics: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{edge_metrics}/health", timeout=1.0) as reply:
            return bool(reply.status == HTTPStatus.OK)
    except OSError:
        return False


def _serves(checks: health_pb2_grpc.HealthStub, service: str) -> bool:
    try:
        reply = checks.Check(health_pb2.HealthCheckRequest(service=service), timeout=1.0)
    except grpc.RpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _stay(pods: Pods) -> int:
    """Until Ctrl-C, or until a pod dies."""
    print(f"gRPC at {_front_address(os.environ)}", flush=True)
    if "edge" in pods:
        edge = os.environ.get("ORRERY_EDGE_ADDRESS", EDGE)
        print(f"REST, gRPC-Web and gRPC at {edge}; the API's reference at http://{edge}/api/docs/", flush=True)
    print("Ctrl-C drains and stops", flush=True)
    while True:
        for name, pod in pods.items():
            if pod.poll() is not None:
                print(f"{name} stopped with code {pod.returncode}; stopping the others", flush=True)
                return 1
        time.sleep(0.5)


def _stop(pods: Pods) -> None:
    """The edge and the front first, so that nothing asks a pod that is gone."""
    for pod in reversed(list(pods.values())):
        pod.terminate()
        try:
            pod.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pod.kill()
            pod.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
