# SPDX-License-Identifier: GPL-3.0-or-later
"""Through the real simulation pod, as a process of its own, over gRPC."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench import objects
from bench.physics import random_orbits
from bench.timing import Spread, in_turns
from orrery.inference import v1

_SERVICE: Final = "orrery.inference.v1.SimulationService"
_READY_WITHIN_S: Final = 60.0
_COLUMNS: Final = 100_000
_CALLS: Final = 10
_SCENARIOS: Final = 4
_MESSAGE_BYTES: Final = 64 * 1024 * 1024


def _free_address() -> str:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def _pod(workers: int) -> Iterator[v1.SimulationServiceStub]:
    """A pod with so many worker processes, ready to answer."""
    address = _free_address()
    environment = os.environ | {
        "ORRERY_SIMULATION_ADDRESS": address,
        "ORRERY_SIMULATION_METRICS_ADDRESS": _free_address(),
        "ORRERY_SIMULATION_WORKERS": str(workers),
    }
    command = [sys.executable, "-m", "gateway", "simulation"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  # our own command
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
    try:
        with grpc.insecure_channel(address, options=options) as channel:
            _wait_until_serving(channel, process)
            yield v1.SimulationServiceStub(channel)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_serving(channel: grpc.Channel, process: subprocess.Popen[bytes]) -> None:
    """Until the service is healthy, which it is with its first worker; then a moment for the others.

    Raises:
        RuntimeError: the pod ended, or did not get ready in time.
    """
    health = health_pb2_grpc.HealthStub(channel)
    end_s = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(grpc.RpcError):
            answer = health.Check(health_pb2.HealthCheckRequest(service=_SERVICE), timeout=1.0)
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                time.sleep(3.0)
                return
        time.sleep(0.2)
    raise RuntimeError("the simulation pod did not get ready")


def moid_columns() -> str:
    """A million MOIDs in ten calls."""
    orbits = random_orbits(_COLUMNS)
    request = v1.ComputeMoidColumnsRequest(
        orbits=v1.OrbitColumns(
            epoch_tdb_jd=[objects.EPOCH_TDB_JD],
            perihelion_distance_au=orbits.perihelion_distance_au,
            eccentricity=orbits.eccentricity,
            inclination_deg=orbits.inclination_deg,
            longitude_of_ascending_node_deg=orbits.longitude_of_ascending_node_deg,
            argument_of_perihelion_deg=orbits.argument_of_perihelion_deg,
        )
    )

    with _pod(workers=1) as stub:

        def ask() -> None:
            for _ in range(_CALLS):
                answer = stub.ComputeMoidColumns(request, timeout=60.0)
                if len(answer.distance_au) != _COLUMNS:
                    raise RuntimeError(f"{len(answer.distance_au)} MOIDs for {_COLUMNS} orbits")

        spread = in_turns({"ask": ask}, repeats=5)["ask"]
    return f"1,000,000 MOIDs in {_CALLS} calls of {_COLUMNS:,}, end to end: {spread}; target < 10 s."


def worker_scaling() -> str:
    """Four 100-year PRECISE scenarios at once, with one worker process and with two."""
    spreads: dict[str, Spread] = {}
    with _pod(1) as one, _pod(2) as two, ThreadPoolExecutor(_SCENARIOS) as threads:

        def ask(stub: v1.SimulationServiceStub) -> Callable[[], object]:
            requests = [v1.SimulateRequest(scenario=_scenario(k)) for k in range(_SCENARIOS)]
            return lambda: list(threads.map(lambda request: stub.Simulate(request, timeout=120.0), requests))

        spreads = in_turns({"1 worker": ask(one), "2 workers": ask(two)}, repeats=5)
    ratio = spreads["1 worker"].median_s / spreads["2 workers"].median_s
    lines = [f"{_SCENARIOS} scenarios of 100 years PRECISE at once:", "", "| workers | median (range) |", "|---|---|"]
    lines += [f"| {name} | {spread} |" for name, spread in spreads.items()]
    return "\n".join([*lines, "", f"Two are {ratio:.2f} times as quick as one."])


def _scenario(number: int) -> v1.Scenario:
    orbits = objects.orbits()
    index = number % len(objects.NAMES)
    elements = v1.OrbitalElements(
        epoch_tdb_jd=objects.EPOCH_TDB_JD,
        perihelion_distance_au=orbits.perihelion_distance_au[index],
        eccentricity=orbits.eccentricity[index],
        inclination_deg=orbits.inclination_deg[index],
        longitude_of_ascending_node_deg=orbits.longitude_of_ascending_node_deg[index],
        argument_of_perihelion_deg=orbits.argument_of_perihelion_deg[index],
        perihelion_time_tdb_jd=orbits.perihelion_time_tdb_jd[index],
    )
    item = v1.NearEarthObject(designation=objects.NAMES[index], elements=elements)
    return v1.Scenario(object=item, duration_days=36_525.0, fidelity=v1.FIDELITY_PRECISE)


SECTIONS: Final = {
    "ComputeMoidColumns through a real pod": moid_columns,
    "Worker processes of a real pod": worker_scaling,
}
