# SPDX-License-Identifier: GPL-3.0-or-later
"""The peers: what each is installed from, how it is set up, and what it does and does not do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.peers import starting, wire
from bench.peers.starting import Command, Place

_ONNXRUNTIME: Final = "onnxruntime==1.32.0"
_ONE_HOP: Final = (
    "The model runs in the very process that answers: no second hop, no check of values, no exact rule. A call of few "
    "rows also costs less on onnxruntime than through TensorFlow."
)


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


PEERS: Final = {
    "triton": Peer(
        "Triton",
        "nvidia-pytriton",
        ("nvidia-pytriton==0.7.0", _ONNXRUNTIME),
        wire.OPEN_INFERENCE,
        (
            Variant(
                "Triton, dynamic batching",
                "tritonserver 2.51.0, python backend, one instance a model; `dynamic_batching {}`: merges what waits, "
                "never delays",
                starting.triton("dynamic_batching { }", 1),
            ),
            Variant(
                "Triton, no batching",
                "tritonserver 2.51.0, python backend, two instances a model",
                starting.triton("", 2),
            ),
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
                starting.mlserver(0, 0.0),
            ),
            Variant(
                "MLServer, adaptive batching",
                "the same; `max_batch_size` 64 calls, `max_batch_time` 1 ms",
                starting.mlserver(64, 0.001),
            ),
        ),
        "Types are checked with pydantic, values are not. Tensors become Python lists on their way.",
        _ONE_HOP,
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
                starting.kserve,
            ),
        ),
        "Shapes are checked by the model only, values are not.",
        _ONE_HOP,
    ),
    "mosec": Peer(
        "mosec",
        "mosec",
        ("mosec==0.9.8", _ONNXRUNTIME),
        wire.BYTES,
        (
            Variant("mosec, no batching", "two workers a model", starting.mosec(1, 0, 2)),
            Variant(
                "mosec, batching",
                "one worker a model; `max_batch_size` 64, `max_wait_time` 1 ms",
                starting.mosec(64, 1, 1),
            ),
        ),
        "Nothing is checked; bodies are the arrays' own bytes over HTTP/1.1.",
        "Its HTTP front is Rust; Python sees nothing but the arrays' bytes, in processes of its own, so both cores are "
        "used; HTTP/1.1 with bare bytes also costs the load generator less than gRPC.",
    ),
    "bentoml": Peer(
        "BentoML",
        "bentoml",
        ("bentoml==1.4.40", _ONNXRUNTIME),
        wire.JSON,
        (
            Variant(
                "BentoML, no batching",
                "two workers, access log and metrics off",
                starting.bentoml(batching=False, latency_ms=1, workers=2),
            ),
            Variant(
                "BentoML, adaptive batching",
                "the same; `batchable`, `max_batch_size` 1024, `max_latency_ms` 1,000",
                starting.bentoml(batching=True, latency_ms=1_000, workers=2),
            ),
        ),
        "Types are checked with pydantic, values are not; arrays travel as JSON over HTTP/1.1.",
        _ONE_HOP,
    ),
    "pythie": Peer(
        "pythie-serving",
        "pythie-serving",
        ("pythie-serving==3.4.3", "cloudpickle==2.1.0", _ONNXRUNTIME),
        wire.COLUMN_TENSORS,
        (
            Variant(
                "pythie-serving",
                "platform `sklearn` with a pickled object that runs the graph; `--worker-count 2`, no limit of calls, "
                "its line a call in the log off; it has no batching",
                starting.pythie(2),
            ),
        ),
        "Names and shapes are checked, values are not; every column is a tensor; the reply is one float32 array.",
        _ONE_HOP,
    ),
}
