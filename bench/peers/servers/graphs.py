# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ONNX graphs, the same for every peer: one onnxruntime thread, all from raw elements.

`ORRERY_PEERS_MODELS` names the folder that holds `neo_classifier.onnx` and `neo_anomaly.onnx`.
"""

import os
from pathlib import Path

import numpy as np
import onnxruntime

OUTPUTS = {
    "neo_classifier": ["pha_probability", "potentially_hazardous", "class_probabilities"],
    "neo_anomaly": ["score"],
}


class Graph:
    """A graph and what to ask of it."""

    def __init__(self, name: str) -> None:
        """Load the graph of this name."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = Path(os.environ["ORRERY_PEERS_MODELS"]) / f"{name}.onnx"
        self.outputs = OUTPUTS[name]
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, orbits: np.ndarray) -> list[np.ndarray]:
        """The outputs, in the order of `outputs`, of (N, 6) float64 orbits."""
        found: list[np.ndarray] = self._session.run(self.outputs, {"orbits": np.ascontiguousarray(orbits)})
        return found

    def table(self, orbits: np.ndarray) -> np.ndarray:
        """The same side by side as float64 (N, K), for protocols that carry one array."""
        return np.column_stack([np.asarray(values, np.float64) for values in self.run(orbits)])
