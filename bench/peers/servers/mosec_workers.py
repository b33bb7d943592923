# SPDX-License-Identifier: GPL-3.0-or-later
"""mosec: a worker a model; bodies are the arrays' own bytes, the cheapest its `serialize` allows."""

import os

import numpy as np
from graphs import Graph
from mosec import Runtime, Server, Worker

_BATCH = int(os.environ["ORRERY_PEERS_BATCH"])
_WAIT_MS = int(os.environ["ORRERY_PEERS_WAIT_MS"])
_WORKERS = int(os.environ["ORRERY_PEERS_WORKERS"])


class GraphWorker(Worker):
    """A graph; its calls come one by one, or in lists where batching is on."""

    model = ""
    resp_mime_type = "application/octet-stream"

    def __init__(self) -> None:
        """Load the graph."""
        super().__init__()
        self._graph = Graph(self.model)

    def deserialize(self, data: bytes) -> np.ndarray:
        """(N, 6) from bytes."""
        return np.frombuffer(data, np.float64).reshape(-1, 6)

    def serialize(self, data: np.ndarray) -> bytes:
        """To bytes."""
        return data.tobytes()

    def forward(self, data: np.ndarray | list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        """Run it on all at once."""
        if not isinstance(data, list):
            return self._graph.table(data)
        ends = np.cumsum([len(orbits) for orbits in data])[:-1]
        return np.split(self._graph.table(np.concatenate(data)), ends)


class Classifier(GraphWorker):
    """The network."""

    model = "neo_classifier"


class Forest(GraphWorker):
    """The forest."""

    model = "neo_anomaly"


if __name__ == "__main__":
    server = Server()
    server.register_runtime(
        {
            f"/{worker.model}": [Runtime(worker, num=_WORKERS, max_batch_size=_BATCH, max_wait_time=_WAIT_MS)]
            for worker in (Classifier, Forest)
        }
    )
    server.run()
