# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole system as its users meet it: four processes on free ports, with the models of `make models`."""

import pytest

from gateway import up
from orrery.inference import InferenceClient
from tests.edges import ask, example, running_edge, until
from tests.pods import PROJECT_ROOT, free_settings
from tests.processes import pod_process


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Addresses of running pods by name; drained when the tests are over."""
    if not (PROJECT_ROOT / "var" / "models" / "neo_classifier").is_dir():
        pytest.fail("no models: run `make models` first (`make test` does)")
    addresses, environment = free_settings(tmp_path_factory.mktemp("feedback"))
    with up.running_pods(tmp_path_factory.mktemp("log"), environment):
        yield addresses


@pytest.fixture
def client(stack):
    """A client of the running system."""
    with InferenceClient(stack["front"], timeout_s=20.0) as asking:
        yield asking


@pytest.fixture
def expendable(stack, tmp_path):
    """(edge, front, simulation pod) whose processes a test may kill."""
    behind = {f"{pod.upper()}_ADDRESS": stack[pod] for pod in ("model_server", "anomaly", "feedback")}
    with (
        pod_process("simulation", WORKERS=1) as simulation,
        pod_process("front", SIMULATION_ADDRESS=simulation.address, GRACE_S=1, **behind) as front,
        running_edge(tmp_path, [front.address]) as edge,
    ):
        until(lambda: ask(edge.address, "/api/simulate", example("Simulate")).status == 200, seconds=60)
        yield edge.address, front, simulation
