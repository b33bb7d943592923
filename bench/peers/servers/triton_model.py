# SPDX-License-Identifier: GPL-3.0-or-later
"""Triton: a model of its python backend; requests that came together are run as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb
from graphs import Graph


class TritonPythonModel:
    """A graph by the name of its model."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the graph."""
        self._graph = Graph(args["model_name"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Run it on all requests at once."""
        orbits = [pb.get_input_tensor_by_name(request, "orbits").as_numpy() for request in requests]
        if len(orbits) == 1:
            return [self._response(self._graph.run(orbits[0]))]
        ends = np.cumsum([len(part) for part in orbits])[:-1]
        parts = zip(*(np.split(values, ends) for values in self._graph.run(np.concatenate(orbits))), strict=True)
        return [self._response(part) for part in parts]

    def _response(self, values: Sequence[np.ndarray]) -> Any:
        # The first axis is the batch's; a model that has one gives at least one more.
        named = zip(self._graph.outputs, values, strict=True)
        tensors = [pb.Tensor(name, array.reshape(len(array), -1)) for name, array in named]
        return pb.InferenceResponse(tensors)
