# SPDX-License-Identifier: GPL-3.0-or-later
"""What the embedded model server counts beyond the metrics of every gRPC server (gateway.serving.metrics)."""

from google.rpc import code_pb2
from prometheus_client import Counter, Gauge, Histogram

from gateway.model_server.repository import State, VersionStatus

# outcome: loaded, corrupt (files are not those that were published) or failed
LOADS = Counter("orrery_model_server_loads_total", "Attempts to load a version.", ["model", "outcome"])
AVAILABLE = Gauge("orrery_model_server_version_available", "1 for each version in service.", ["model", "version"])
PREDICT_SECONDS = Histogram(
    "orrery_model_server_predict_seconds",
    "Time from a decoded Predict request to its reply, without waiting for a thread.",
    ["model"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
)


def record(model: str, status: VersionStatus) -> None:
    """Count a version's new state."""
    if status.state is State.AVAILABLE:
        LOADS.labels(model, "loaded").inc()
        AVAILABLE.labels(model, status.number).set(1)
    elif status.state is State.UNLOADING:
        AVAILABLE.remove(model, status.number)
    elif status.error is not None:
        LOADS.labels(model, "corrupt" if status.error.code == code_pb2.DATA_LOSS else "failed").inc()
