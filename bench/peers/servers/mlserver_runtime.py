# SPDX-License-Identifier: GPL-3.0-or-later
"""MLServer: a custom runtime, as its documentation has it ("Serving a custom model")."""

from graphs import Graph
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class GraphRuntime(MLModel):
    """A graph by the name of its model."""

    async def load(self) -> bool:
        """Load the graph."""
        self._graph = Graph(self.name)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run it."""
        orbits = NumpyCodec.decode_input(payload.inputs[0])
        found = zip(self._graph.outputs, self._graph.run(orbits), strict=True)
        outputs = [NumpyCodec.encode_output(name, values) for name, values in found]
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)
