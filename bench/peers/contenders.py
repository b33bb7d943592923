# SPDX-License-Identifier: GPL-3.0-or-later
"""The peers: what each is installed from, how it is set up and started, and what it does and does not do."""

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

_ONNXRUNTIME: Final = "onnxruntime==1.32.0"
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


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to set a peer up.

    Attributes:
        name: as tables have it.
        settings: as the page has it.
        command: writes what the server reads, and says what starts it.
    """

    name: str
    settings: str
    command: Callable[[Place], Command]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer.

    Attributes:
        name: as people write it.
        distribution: whose version is the peer's.
        packages: what its environment is installed from, pinned.
        protocol: that it is asked in.
        variants: ways to set it up.
        does: what it does and does not do for a call.
        why: what makes it quicker than ours, where it is.
    """

    name: str
    distribution: str
    packages: tuple[str, ...]
    protocol: wire.Protocol
    variants: tuple[Variant, ...]
    does: str
    why: str


def environment_of(place: Place, command: Command) -> dict[str, str]:
    """The whole environment of a server: this process' own, where the graphs are, and its settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ORRERY_", "PYTHON"))}
    return inherited | {
        "PATH": f"{place.environment / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(SERVERS),
        "ORRERY_PEERS_MODELS": str(MODELS),
        **command.settings,
    }


def _mlserver(batch: int, wait_s: float) -> Callable[[Place], Command]:
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


def _kserve(place: Place) -> Command:
    python, script = str(place.environment / "bin" / "python"), str(SERVERS / "kserve_models.py")
    ports = [f"--grpc_port={place.ports[0]}", f"--http_port={place.ports[1]}"]
    return Command([python, script, *ports, "--enable_latency_logging=false"])


def _mosec(batch: int, wait_ms: int, workers: int) -> Callable[[Place], Command]:
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


def _bentoml(*, batching: bool, latency_ms: int, workers: int) -> Callable[[Place], Command]:
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


def _triton(batching: str, instances: int) -> Callable[[Place], Command]:
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


def _pythie(workers: int) -> Callable[[Place], Command]:
    def command(place: Place) -> Command:
        python = str(place.environment / "bin" / "python")
        settings = {"VERBOSITY_LEVEL": "0"}
        write = Command([python, str(SERVERS / "pythie_models.py"), str(place.folder)], settings)
        subprocess.run(write.arguments, check=True, env=environment_of(place, write))  # noqa: S603  # our own command
        options = ["--worker-count", str(workers), "--maximum-concurrent-rpcs", "-1", "--port", str(place.ports[0])]
        server = str(place.environment / "bin" / "pythie-serving")
        return Command([server, str(place.folder / "models.config"), *options], settings)

    return command


PEERS: Final = {
    "triton": Peer(
        "Triton",
        "nvidia-pytriton",
        ("nvidia-pytriton==0.7.0", _ONNXRUNTIME),
        wire.OPEN_INFERENCE,
        (
            Variant(
                "Triton, dynamic batching",
                "python backend, one instance a model; `dynamic_batching {}`: merges what waits, never delays",
                _triton("dynamic_batching { }", 1),
            ),
            Variant("Triton, no batching", "python backend, one instance a model", _triton("", 2)),
        ),
        "Shapes and types are checked, values are not. A process a model runs Python behind shared memory.",
        "Its gRPC, its queue and its batching are C++; Python runs once a batch, in a process of its own, "
        "so both cores are used.",
    ),
    "mlserver": Peer(
        "MLServer",
        "mlserver",
        ("mlserver==1.7.1", _ONNXRUNTIME),
        wire.OPEN_INFERENCE,
        (
            Variant(
                "MLServer, no batching",
                "`parallel_workers` 0 (the model in the server's own process), `debug` false",
                _mlserver(0, 0.0),
            ),
            Variant(
                "MLServer, adaptive batching",
                "the same; `max_batch_size` 64 calls, `max_batch_time` 1 ms",
                _mlserver(64, 0.001),
            ),
        ),
        "Types are checked with pydantic, values are not. Tensors become Python lists on their way.",
        "It does not check values and has no second process to ask.",
    ),
    "kserve": Peer(
        "KServe",
        "kserve",
        ("kserve==0.21.0", _ONNXRUNTIME),
        wire.OPEN_INFERENCE,
        (
            Variant(
                "KServe",
                "its Python server, one process, latency logging off, log level WARNING; "
                "its batching is a sidecar of the cluster's, not part of the server",
                _kserve,
            ),
        ),
        "Shapes are checked by the model only, values are not.",
        "It does not check values and has no second process to ask: the model runs on the server's event loop.",
    ),
    "mosec": Peer(
        "mosec",
        "mosec",
        ("mosec==0.9.8", _ONNXRUNTIME),
        wire.BYTES,
        (
            Variant("mosec, no batching", "two workers a model", _mosec(1, 0, 2)),
            Variant("mosec, batching", "one worker a model; `max_batch_size` 64, `max_wait_time` 1 ms", _mosec(64, 1, 1)),
        ),
        "Nothing is checked; bodies are the arrays' own bytes over HTTP/1.1.",
        "Its HTTP front is Rust; Python sees nothing but the arrays' bytes, in a process of its own, so both cores are used.",
    ),
    "bentoml": Peer(
        "BentoML",
        "bentoml",
        ("bentoml==1.4.40", _ONNXRUNTIME),
        wire.JSON,
        (
            Variant("BentoML, no batching", "two workers, access log and metrics off", _bentoml(batching=False, latency_ms=1, workers=2)),
            Variant(
                "BentoML, adaptive batching",
                "the same; `batchable`, `max_batch_size` 1024, `max_latency_ms` 1,000",
                _bentoml(batching=True, latency_ms=1_000, workers=2),
            ),
        ),
        "Types are checked with pydantic, values are not; arrays travel as JSON over HTTP/1.1.",
        "It does not check values and has no second process to ask.",
    ),
    "pythie": Peer(
        "pythie-serving",
        "pythie-serving",
        ("pythie-serving==3.4.3", "cloudpickle==2.1.0", _ONNXRUNTIME),
        wire.COLUMN_TENSORS,
        (
            Variant(
                "pythie-serving",
                "platform \"sklearn\" with a pickled object that runs the graph; `--worker-count 2`, no limit of calls, "
                "a line a call in its log off; it has no batching",
                _pythie(2),
            ),
        ),
        "Names and shapes are checked, values are not; every column is a tensor; the reply is one float32 array.",
        "It does not check values and has no second process to ask.",
    ),
}
