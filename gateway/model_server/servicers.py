# SPDX-License-Identifier: GPL-3.0-or-later
"""The gRPC services of TensorFlow Serving on top of the model server. Refusals become statuses in CallInterceptor."""

import asyncio
from concurrent.futures import Executor
from typing import Any, NoReturn

from google.rpc import code_pb2
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from gateway.model_server.core import ModelServer
from gateway.model_server.errors import Refusal


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]  # untyped stubs
    """tensorflow.serving.PredictionService: Predict and GetModelMetadata."""

    def __init__(self, models: ModelServer, executor: Executor) -> None:
        """Serve models, running predictions in an executor."""
        self._models = models
        self._executor = executor

    async def Predict(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's name
        """Run a model, off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._models.predict, request)

    async def GetModelMetadata(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's name
        """The signatures of a model."""
        return self._models.metadata(request)

    async def Classify(self, _request: Any, _context: Any) -> NoReturn:  # noqa: N802  # the protocol's name
        """Not served here."""
        raise _unimplemented("Classify")

    async def Regress(self, _request: Any, _context: Any) -> NoReturn:  # noqa: N802  # the protocol's name
        """Not served here."""
        raise _unimplemented("Regress")

    async def MultiInference(self, _request: Any, _context: Any) -> NoReturn:  # noqa: N802  # the protocol's name
        """Not served here."""
        raise _unimplemented("MultiInference")


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]  # untyped stubs
    """tensorflow.serving.ModelService."""

    def __init__(self, models: ModelServer) -> None:
        """Serve the states of these models."""
        self._models = models

    async def GetModelStatus(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's name
        """The states of a model's versions."""
        return self._models.status(request)

    async def HandleReloadConfigRequest(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's name
        """Put another config in force; the reply comes when it is."""
        await asyncio.wrap_future(self._models.reload(request))
        reply = model_management_pb2.ReloadConfigResponse()
        reply.status.SetInParent()
        return reply


def _unimplemented(method: str) -> Refusal:
    return Refusal(
        code_pb2.UNIMPLEMENTED,
        f"{method} is not served by the embedded model server; Predict and GetModelMetadata are",
    )
