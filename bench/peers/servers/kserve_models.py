# SPDX-License-Identifier: GPL-3.0-or-later
"""KServe: its Python model server with a custom model."""

import logging

from graphs import OUTPUTS, Graph
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

_DATATYPES = {"float32": "FP32", "float64": "FP64", "bool": "BOOL"}


class GraphModel(Model):
    """A graph by the name of its model."""

    def __init__(self, name: str) -> None:
        """Load at once."""
        super().__init__(name)
        self._graph = Graph(name)
        self.ready = True

    async def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> InferResponse:
        """Run it."""
        del headers, response_headers
        outputs = []
        for name, values in zip(self._graph.outputs, self._graph.run(payload.inputs[0].as_numpy()), strict=True):
            output = InferOutput(name, list(values.shape), _DATATYPES[values.dtype.name])
            output.set_data_from_numpy(values)
            outputs.append(output)
        return InferResponse(payload.id, self.name, outputs, use_binary_outputs=True)


if __name__ == "__main__":
    server = ModelServer()
    # It writes a line a call to its log otherwise.
    logging.getLogger("kserve").setLevel(logging.WARNING)
    logging.getLogger("kserve.trace").setLevel(logging.WARNING)
    server.start([GraphModel(name) for name in OUTPUTS])
