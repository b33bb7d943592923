# SPDX-License-Identifier: GPL-3.0-or-later
"""The Open Inference Protocol v2 beside our own services: KServe's and Triton's clients ask the same models."""

import asyncio
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2

from gateway.front.open_inference_messages import MESSAGES, SERVICE
from gateway.front.open_inference_models import FEW_ROWS, INPUTS, Model, Tensor, probe, selector_of
from gateway.front.open_inference_tensors import chosen_outputs, read_orbits, write_outputs
from gateway.serving.channels import onward
from gateway.serving.context import Context
from gateway.serving.errors import ModelNotFound, ServingError
from gateway.serving.server import SERVING

_DISTRIBUTION: Final = "orrery-inference"


class OpenInferenceServicer:
    """Implements the protocol over models by name."""

    def __init__(
        self, models: Mapping[str, Model], checks: health.aio.HealthServicer, services: tuple[str, ...], cap_s: float
    ) -> None:
        """Take the models.

        Args:
            models: by their names.
            checks: the front's health.
            services: whose health makes the server ready.
            cap_s: the longest a call may take.
        """
        self._models = models
        self._checks = checks
        self._services = services
        self._cap_s = cap_s

    async def ServerLive(self, _request: Any, _context: Context) -> Any:  # noqa: N802  # the protocol's name
        """This answer is the answer."""
        return MESSAGES["ServerLiveResponse"](live=True)

    async def ServerReady(self, _request: Any, context: Context) -> Any:  # noqa: N802  # the protocol's name
        """What the front's health says of the models' services."""
        questions = [health_pb2.HealthCheckRequest(service=service) for service in self._services]
        replies = [await self._checks.Check(question, context) for question in questions]
        return MESSAGES["ServerReadyResponse"](ready=all(reply.status == SERVING for reply in replies))

    async def ModelReady(self, request: Any, context: Context) -> Any:  # noqa: N802  # the protocol's name
        """Whether the model answers about a known orbit; a model that is not served is not ready."""
        budget = onward(context, cap_s=self._cap_s)
        try:
            await probe(self._model(request.name, "name"), selector_of(request.version), budget)
        except ServingError:
            return MESSAGES["ModelReadyResponse"](ready=False)
        return MESSAGES["ModelReadyResponse"](ready=True)

    async def ServerMetadata(self, _request: Any, _context: Context) -> Any:  # noqa: N802  # the protocol's name
        """Name and version of this distribution."""
        return MESSAGES["ServerMetadataResponse"](name=_DISTRIBUTION, version=version(_DISTRIBUTION))

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802  # the protocol's name
        """What a model takes and gives, and the version that answers."""
        model = self._model(request.name, "name")
        answers = await probe(model, selector_of(request.version), onward(context, cap_s=self._cap_s))
        reply = MESSAGES["ModelMetadataResponse"](name=request.name, versions=[str(answers)], platform=model.platform)
        _describe(reply.inputs, INPUTS)
        _describe(reply.outputs, model.outputs)
        return reply

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802  # the protocol's name
        """Tensors in, tensors out."""
        model = self._model(request.model_name, "model_name")
        names = chosen_outputs(request, [name for name, _, _ in model.outputs])
        few = all(tensor.shape and tensor.shape[0] <= FEW_ROWS for tensor in request.inputs)
        orbits = read_orbits(request) if few else await asyncio.to_thread(read_orbits, request)
        said = await model.infer(orbits, selector_of(request.model_version), onward(context, cap_s=self._cap_s))
        reply = MESSAGES["ModelInferResponse"](
            model_name=request.model_name, model_version=str(said.version), id=request.id
        )
        chosen = {name: said.outputs[name] for name in names}
        write = partial(write_outputs, reply, chosen, raw=len(request.raw_input_contents) > 0)
        if few:
            write()
        else:
            await asyncio.to_thread(write)
        return reply

    def _model(self, name: str, path: str) -> Model:
        if name not in self._models:
            raise ModelNotFound(path, f"no model {name[:64]!r} is being served; there are {', '.join(self._models)}")
        return self._models[name]


def open_inference_handler(servicer: OpenInferenceServicer) -> grpc.GenericRpcHandler:
    """A handler for every method of the protocol."""
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, method.name),
            request_deserializer=MESSAGES[method.input_type.name].FromString,
            response_serializer=MESSAGES[method.output_type.name].SerializeToString,
        )
        for method in SERVICE.methods
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _describe(described: Any, tensors: tuple[Tensor, ...]) -> None:
    for name, datatype, shape in tensors:
        described.add(name=name, datatype=datatype, shape=shape)
