# SPDX-License-Identifier: GPL-3.0-or-later
"""The gRPC services of TensorFlow Serving on top of the model server. Refusals become statuses in CallInterceptor."""

import asyncio
import time
from concurrent.futures import Executor
from typing import Any, Final, NoReturn

from google.rpc import code_pb2
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from gateway.model_server.core import ModelServer
from gateway.model_server.errors import Refusal

_SMALL_BYTES: Final = 8 * 1024
"""Some 160 rows of six doubles: 300 us, about what a hop to a thread and back costs a busy loop."""
_QUICK_S: Final = 1e-3
"""Of a thread's own time: what it waits for, on a busy machine or in a busy process, is not the model's."""
_NOT_LONG_S: Final = 5e-3
"""By the clock: where TensorFlow has threads of its own the work is theirs, and the loop would wait for it."""


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]  # untyped stubs
    """tensorflow.serving.PredictionService: Predict and GetModelMetadata."""

    def __init__(self, models: ModelServer, executor: Executor) -> None:
        """Serve models, running predictions in an executor."""
        self._models = models
        self._executor = executor
        # Models whose last small request was answered quickly.
        self._quick: set[str] = set()

    async def Predict(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's name
        """Run a model: in a thread, or at once where a thread's hop would cost as much as the answer."""
        if request.ByteSize() <= _SMALL_BYTES and request.model_spec.name in self._quick:
            return self._predict(request)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._predict, request)

    def _predict(self, request: Any) -> Any:
        own_s, start_s = time.thread_time(), time.perf_counter()
        reply = self._models.predict(request)
        if request.ByteSize() <= _SMALL_BYTES:
            quick = time.thread_time() - own_s < _QUICK_S and time.perf_counter() - start_s < _NOT_LONG_S
            (self._quick.add if quick else self._quick.discard)(request.model_spec.name)
        return reply

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
