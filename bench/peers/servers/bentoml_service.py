# SPDX-License-Identifier: GPL-3.0-or-later
"""BentoML: one service, an endpoint a model; arrays travel as JSON, the tensor format its HTTP API documents."""

import os

import bentoml
import numpy as np
from graphs import Graph

_BATCHING = (
    {"batchable": True, "max_batch_size": 1024, "max_latency_ms": int(os.environ["ORRERY_PEERS_LATENCY_MS"])}
    if os.environ["ORRERY_PEERS_BATCH"] == "1"
    else {}
)


@bentoml.service(
    workers=int(os.environ["ORRERY_PEERS_WORKERS"]),
    traffic={"timeout": 30},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Graphs:
    """Both graphs."""

    def __init__(self) -> None:
        """Load them."""
        self._classifier = Graph("neo_classifier")
        self._forest = Graph("neo_anomaly")

    @bentoml.api(**_BATCHING)
    def neo_classifier(self, orbits: np.ndarray) -> np.ndarray:
        """(N, 6): probability, verdict, four class probabilities."""
        return self._classifier.table(orbits)

    @bentoml.api(**_BATCHING)
    def neo_anomaly(self, orbits: np.ndarray) -> np.ndarray:
        """(N, 1): score."""
        return self._forest.table(orbits)
