# SPDX-License-Identifier: GPL-3.0-or-later
"""What `up` is going to start, and whether it can: settings, models, addresses."""

import contextlib
import importlib.util
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.anomaly.settings import AnomalySettings
from gateway.edge.settings import EdgeSettings
from gateway.feedback.settings import FeedbackSettings
from gateway.front.settings import FrontSettings
from gateway.model_server.settings import ModelServerSettings
from gateway.serving.environment import Settings
from gateway.serving.listening import require_free
from gateway.serving.settings import CLASSIFIER_NAME, FOREST_NAME, BackendSettings, ModelStoreSettings
from gateway.serving.starting import CannotStart
from gateway.simulation.settings import SimulationSettings

# What the edge needs beside its own modules.
_EDGE_PACKAGES: Final = ("envoy", "jinja2", "flask_swagger_ui")


class NoModels(CannotStart):
    """Nothing is published that the pods could serve."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started.

    Attributes:
        environment: of all processes.
        pods: their names, in the order in which they start.
        front: the front's settings.
        edge: the edge's settings; None where there is no edge.
        no_edge: why there is none.
    """

    environment: Mapping[str, str]
    pods: tuple[str, ...]
    front: FrontSettings
    edge: EdgeSettings | None
    no_edge: str | None


def make_plan(environment: Mapping[str, str]) -> Plan:
    """Read the settings of all pods, and check that the pods can start.

    Args:
        environment: of this process, and what is to be set on top of it.

    Raises:
        CannotStart: settings make no sense, no model is published, or an address is taken.
    """
    complete = _complete(dict(environment))
    # The front first: where several addresses are taken, its is the one that users know.
    front = FrontSettings.read(complete)
    settings: dict[str, Settings] = {
        "front": front,
        "model-server": ModelServerSettings.read(complete),
        "anomaly": AnomalySettings.read(complete),
        "simulation": SimulationSettings.read(complete),
        "feedback": FeedbackSettings.read(complete),
    }
    edge = None
    if (no_edge := _reason_for_no_edge(complete)) is None:
        settings["edge"] = edge = EdgeSettings.read(complete)
    for read in (*settings.values(), BackendSettings.read(complete)):
        read.require_files()
    _require_models(complete)
    require_free(settings)
    order = ("model-server", "anomaly", "simulation", "feedback", "front", "edge")
    return Plan(complete, tuple(name for name in order if name in settings), front, edge, no_edge)


def _complete(environment: dict[str, str]) -> dict[str, str]:
    """Add what follows from TLS: a port for health without it, the edge's certificates, the backend that has none."""
    if environment.get("ORRERY_FRONT_TLS_CERTIFICATE_FILE"):
        environment.setdefault("ORRERY_FRONT_HEALTH_ADDRESS", _free_address())
        for name in ("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE"):
            if path := environment.get(f"ORRERY_BACKEND_{name}"):
                environment.setdefault(f"ORRERY_EDGE_FRONT_{name}", path)
        server_name = environment.get("ORRERY_BACKEND_SERVER_NAME") or "localhost"
        environment.setdefault("ORRERY_EDGE_FRONT_SERVER_NAME", server_name)
    if environment.get("ORRERY_BACKEND_CA_FILE"):
        models = environment.get("ORRERY_FRONT_MODEL_SERVER_ADDRESS") or "127.0.0.1:8500"
        environment["ORRERY_FRONT_MODEL_SERVER_ADDRESS"] = f"plaintext:{models.removeprefix('plaintext:')}"
    return environment


def _free_address() -> str:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _reason_for_no_edge(environment: Mapping[str, str]) -> str | None:
    absent = [name for name in _EDGE_PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed; pip install 'orrery-inference[edge]' does it"
    if environment.get("ORRERY_FRONT_TLS_CERTIFICATE_FILE") and not environment.get("ORRERY_EDGE_FRONT_CA_FILE"):
        return "the front has TLS, and ORRERY_EDGE_FRONT_CA_FILE is not set"
    return None


def _require_models(environment: Mapping[str, str]) -> None:
    """Check that the store has a version of each model; a server with a config of its own knows where its models are.

    Raises:
        NoModels: it has not.
    """
    if "ORRERY_MODEL_SERVER_MODEL_CONFIG_FILE" in environment:
        return
    store = ModelStoreSettings.read(environment).model_store
    absent = [name for name in (CLASSIFIER_NAME, FOREST_NAME) if not _has_a_version(store / name)]
    if absent:
        raise NoModels(
            f"no {' and no '.join(absent)} in {store}: `make models` trains small ones,"
            " ORRERY_MODEL_STORE names another store"
        )


def _has_a_version(folder: Path) -> bool:
    return folder.is_dir() and any(entry.name.isdecimal() for entry in folder.iterdir())
