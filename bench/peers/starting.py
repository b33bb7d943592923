# SPDX-License-Identifier: GPL-3.0-or-later
"""How each peer's server is set up and started: what it reads is written into a folder of its own."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.peers import wire
from bench.peers.environments import MODELS, PYTHON, SERVERS

_TRITON_CONFIG: Final = """
backend: "python"
max_batch_size: 1024
input [ { name: "orbits" data_type: TYPE_FP64 dims: [ 6 ] } ]
output [ %s ]
instance_group [ { count: %d kind: KIND_CPU } ]
%s
"""
_TRITON_OUTPUTS: Final = {
    wire.CLASSIFIER: (
        '{ name: "pha_probability" data_type: TYPE_FP32 dims: [ 1 ] }, '
        '{ name: "potentially_hazardous" data_type: TYPE_BOOL dims: [ 1 ] }, '
        '{ name: "class_probabilities" data_type: TYPE_FP32 dims: [ 4 ] }'
    ),
    wire.FOREST: '{ name: "score" data_type: TYPE_FP64 dims: [ 1 ] }',
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs: its environment, a folder of its own, and three free ports, the first for calls."""

    environment: Path
    folder: Path
    ports: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Command:
    """What starts a server."""

    arguments: list[str]
    settings: Mapping[str, str] = field(default_factory=dict)


def environment_of(place: Place, command: Command) -> dict[str, str]:
    """The whole environment of a server: this process' own, where the graphs are, and its settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ORRERY_", "PYTHON"))}
    return inherited | {
        "PATH": f"{place.environment / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(SERVERS),
        "ORRERY_PEERS_MODELS": str(MODELS),
        **command.settings,
    }


def mlserver(batch: int, wait_s: float) -> Callable[[Place], Command]:
    """One server of both models; batches of so many calls after so long a wait, 0 for none."""

    def command(place: Place) -> Command:
        for model in wire.OUTPUTS:
            folder = place.folder / model
            folder.mkdir(parents=True, exist_ok=True)
            said = {"name": model, "implementation": "mlserver_runtime.GraphRuntime"}
            batching = {"max_batch_size": batch, "max_batch_time": wait_s} if batch else {}
            (folder / "model-settings.json").write_text(json.dumps(said | batching), encoding="utf-8")
        settings = {
            "MLSERVER_GRPC_PORT": str(place.ports[0]),
            "MLSERVER_HTTP_PORT": str(place.ports[1]),
            "MLSERVER_METRICS_PORT": str(place.ports[2]),
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_DEBUG": "false",
        }
        return Command([str(place.environment / "bin" / "mlserver"), "start", str(place.folder)], settings)

    return command


def kserve(place: Place) -> Command:
    """One process of both models."""
    python, script = str(place.environment / "bin" / "python"), str(SERVERS / "kserve_models.py")
    ports = [f"--grpc_port={place.ports[0]}", f"--http_port={place.ports[1]}"]
    return Command([python, script, *ports, "--enable_latency_logging=false"])


def mosec(batch: int, wait_ms: int, workers: int) -> Callable[[Place], Command]:
    """So many worker processes a model; batches of so many calls after so long a wait, 1 for none."""

    def command(place: Place) -> Command:
        python, script = str(place.environment / "bin" / "python"), str(SERVERS / "mosec_workers.py")
        options = ["--address", "127.0.0.1", "--port", str(place.ports[0]), "--log-level", "warning"]
        settings = {
            "ORRERY_PEERS_BATCH": str(batch),
            "ORRERY_PEERS_WAIT_MS": str(wait_ms),
            "ORRERY_PEERS_WORKERS": str(workers),
        }
        return Command([python, script, *options, "--path", str(place.folder / "socket")], settings)

    return command


def bentoml(*, batching: bool, latency_ms: int, workers: int) -> Callable[[Place], Command]:
    """So many worker processes of both models."""

    def command(place: Place) -> Command:
        bentoml = str(place.environment / "bin" / "bentoml")
        arguments = ["serve", "bentoml_service:Graphs", "--working-dir", str(SERVERS), "--host", "127.0.0.1"]
        settings = {
            "ORRERY_PEERS_BATCH": str(int(batching)),
            "ORRERY_PEERS_LATENCY_MS": str(latency_ms),
            "ORRERY_PEERS_WORKERS": str(workers),
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(place.folder),
        }
        return Command([bentoml, *arguments, "--port", str(place.ports[0])], settings)

    return command


def triton(batching: str, instances: int) -> Callable[[Place], Command]:
    """The wheel's own tritonserver with a repository of both models."""

    def command(place: Place) -> Command:
        site = place.environment / "lib" / f"python{PYTHON}" / "site-packages"
        server = site / "pytriton" / "tritonserver"
        backends = place.folder / "backends"
        shutil.copytree(server / "backends", backends, dirs_exist_ok=True)
        stub = server / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
        shutil.copy(stub, backends / "python")
        for model, outputs in _TRITON_OUTPUTS.items():
            folder = place.folder / "repository" / model
            (folder / "1").mkdir(parents=True, exist_ok=True)
            shutil.copy(SERVERS / "triton_model.py", folder / "1" / "model.py")
            shutil.copy(SERVERS / "graphs.py", folder / "1")
            (folder / "config.pbtxt").write_text(_TRITON_CONFIG % (outputs, instances, batching), encoding="utf-8")
        options = {
            "model-repository": place.folder / "repository",
            "backend-directory": backends,
            "grpc-port": place.ports[0],
            "http-port": place.ports[1],
            "metrics-port": place.ports[2],
            "log-info": "false",
        }
        arguments = [str(server / "bin" / "tritonserver"), *(f"--{name}={value}" for name, value in options.items())]
        # The wheel's own libraries: the python backend's stub, copied away from them, would not find them.
        libraries = site / "nvidia_pytriton.libs"
        return Command(arguments, {"PYTHONPATH": str(site), "LD_LIBRARY_PATH": str(libraries)})

    return command


def pythie(workers: int) -> Callable[[Place], Command]:
    """So many threads for both models."""

    def command(place: Place) -> Command:
        python = str(place.environment / "bin" / "python")
        settings = {"VERBOSITY_LEVEL": "0"}
        write = Command([python, str(SERVERS / "pythie_models.py"), str(place.folder)], settings)
        subprocess.run(write.arguments, check=True, env=environment_of(place, write))  # noqa: S603  # our own command
        options = ["--worker-count", str(workers), "--maximum-concurrent-rpcs", "-1", "--port", str(place.ports[0])]
        server = str(place.environment / "bin" / "pythie-serving")
        return Command([server, str(place.folder / "models.config"), *options], settings)

    return command
