# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole system as its users meet it: four processes on free ports, with the models of `make models`."""

import pytest

from gateway import up
from orrery.inference import InferenceClient
from tests.pods import PROJECT_ROOT, free_address


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Addresses of running pods by name; drained when the tests are over."""
    if not (PROJECT_ROOT / "var" / "models" / "neo_classifier").is_dir():
        pytest.fail("no models: run `make models` first (`make test` does)")
    addresses = {name: free_address() for name in ("front", "anomaly", "simulation", "model_server", "status")}
    metrics = {name: free_address() for name in ("front", "anomaly", "simulation")}
    environment = {
        "ORRERY_FRONT_ADDRESS": addresses["front"],
        "ORRERY_ANOMALY_ADDRESS": addresses["anomaly"],
        "ORRERY_SIMULATION_ADDRESS": addresses["simulation"],
        "ORRERY_MODEL_SERVER_ADDRESS": addresses["model_server"],
        "ORRERY_MODEL_SERVER_STATUS_ADDRESS": addresses["status"],
        **{
            f"ORRERY_FRONT_{name.upper()}_ADDRESS": addresses[name]
            for name in ("anomaly", "simulation", "model_server")
        },
        **{f"ORRERY_{name.upper()}_METRICS_ADDRESS": metrics[name] for name in metrics},
    }
    with up.running_pods(tmp_path_factory.mktemp("log"), environment):
        yield {**addresses, **{f"{name}_metrics": metrics[name] for name in metrics}}


@pytest.fixture
def client(stack):
    """A client of the running system."""
    with InferenceClient(stack["front"], timeout_s=20.0) as asking:
        yield asking
