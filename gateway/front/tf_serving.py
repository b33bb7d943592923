# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to TensorFlow Serving: Predict and GetModelStatus, without tensorflow.

The messages come from a 6 KB descriptor set in a pool of its own (`make serving-protocol` writes it from the genuine
tensorflow-serving-api), because importing that package costs 634 MB and 20 s. Tensors travel as `tensor_content`
(12.5 us for 1,000 rows; 536 us through `float_val`); replies come so too, and are read in either form.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from time import monotonic
from typing import Any, Final

import grpc
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

from gateway.serving.channels import refusal_of
from gateway.serving.errors import BackendUnavailable, ModelNotFound, ModelUnusable
from gateway.serving.tensor_strings import decode_strings
from gateway.serving.transports.interface import Channel
from orrery.inference import v1

BACKEND: Final = "model server"

_DT_FLOAT, _DT_DOUBLE, _DT_INT32, _DT_STRING, _DT_BOOL = 1, 2, 3, 7, 10
# The typed field of a TensorProto, and its dtype, by DataType: what TF Serving sends unless told otherwise.
_TYPED = {
    _DT_FLOAT: ("float_val", np.float32),
    _DT_DOUBLE: ("double_val", np.float64),
    _DT_INT32: ("int_val", np.int32),
    _DT_BOOL: ("bool_val", np.bool_),
}
_DATA_TYPES = {np.dtype(dtype): data_type for data_type, (_, dtype) in _TYPED.items()}
_AVAILABLE = 30
# While versions are loaded, one model server has a version that another has not yet, or no more.
_OTHERS_TO_ASK = 3


def _message_classes() -> dict[str, Any]:
    content = resources.files("gateway.front").joinpath("tensorflow_serving.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
        pool.AddSerializedFile(file.SerializeToString())
    names = ("PredictRequest", "PredictResponse", "GetModelStatusRequest", "GetModelStatusResponse")
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))
        for name in names
    }


_MESSAGES = _message_classes()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one version of a model said: outputs by name, first axis N, and the version."""

    outputs: dict[str, NDArray[Any]]
    version: int


class Asked:
    """A question that is on its way."""

    def __init__(self, put: Callable[[float], Any], timeout_s: float, model: str, selector: v1.ModelSelector) -> None:
        """Put it.

        Args:
            put: begins a call with a timeout, in s.
            timeout_s: for the question as a whole.
            model: that is asked.
            selector: which version of it.
        """
        self._put = put
        self._deadline_s = monotonic() + timeout_s
        self._model = model
        self._selector = selector
        self._call = put(timeout_s)

    async def answer(self) -> Answer:
        """Wait for it; raises as `TensorFlowServing.predict`."""
        others_to_ask = _OTHERS_TO_ASK if self._selector.version else 0
        while True:
            try:
                reply = await self._call
                break
            except grpc.aio.AioRpcError as error:
                left_s = self._deadline_s - monotonic()
                if error.code() is not grpc.StatusCode.NOT_FOUND or not others_to_ask or left_s <= 0.0:
                    raise _refusal(error, self._model, self._selector) from error
            others_to_ask -= 1
            self._call = self._put(left_s)
        outputs = {name: _read_tensor(tensor, self._model) for name, tensor in reply.outputs.items()}
        return Answer(outputs, reply.model_spec.version.value)

    def cancel(self) -> None:
        """Withdraw it, unless it is answered."""
        self._call.cancel()


class TensorFlowServing:
    """A model server, asked for one model."""

    def __init__(self, channel: Channel, model: str) -> None:
        self._model = model
        self._predict = self._method(channel, "PredictionService/Predict", "Predict")
        self._status = self._method(channel, "ModelService/GetModelStatus", "GetModelStatus")

    async def predict(
        self,
        signature: str,
        inputs: dict[str, NDArray[Any]],
        selector: v1.ModelSelector,
        **onward: Any,
    ) -> Answer:
        """Run a signature.

        Args:
            signature: its name.
            inputs: arrays of float64, float32 or int32 by name, first axis N.
            selector: which version; empty for the newest.
            onward: timeout and metadata, see `gateway.serving.channels.onward`.

        Raises:
            ModelNotFound: the version or the label is not being served.
            ModelUnusable: the model has no such signature.
            ServingError: the model server is away, too slow or too busy, or has no version at all.
        """
        return await self.ask(signature, inputs, selector, **onward).answer()

    def ask(
        self,
        signature: str,
        inputs: dict[str, NDArray[Any]],
        selector: v1.ModelSelector,
        *,
        timeout: float,
        metadata: Any = None,
    ) -> Asked:
        """The question of `predict`, put before this returns."""
        request = _MESSAGES["PredictRequest"]()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if choice := selector.WhichOneof("choice"):
            if choice == "version":
                request.model_spec.version.value = selector.version
            else:
                request.model_spec.version_label = selector.version_label
        for name, values in inputs.items():
            _write_tensor(request.inputs[name], values)

        def put(timeout_s: float) -> Any:
            return self._predict(request, timeout=timeout_s, metadata=metadata)

        return Asked(put, timeout, self._model, selector)

    async def versions(self, *, timeout_s: float) -> set[int]:
        """The versions that answer, of one model server.

        Raises:
            grpc.aio.AioRpcError: the model server is away or does not know the model.
        """
        request = _MESSAGES["GetModelStatusRequest"]()
        request.model_spec.name = self._model
        reply = await self._status(request, timeout=timeout_s)
        return {status.version for status in reply.model_version_status if status.state == _AVAILABLE}

    async def is_available(self, *, timeout_s: float) -> bool:
        """Whether any version answers; raises as `versions`."""
        return bool(await self.versions(timeout_s=timeout_s))

    def _method(self, channel: Channel, path: str, messages: str) -> Any:
        return channel.unary_unary(
            f"/tensorflow.serving.{path}",
            request_serializer=_MESSAGES[f"{messages}Request"].SerializeToString,
            response_deserializer=_MESSAGES[f"{messages}Response"].FromString,
        )


def _refusal(error: grpc.aio.AioRpcError, model: str, selector: v1.ModelSelector) -> Exception:
    """Which of our errors a status of TF Serving means; it gives no details, so its words are read."""
    details = error.details() or ""
    if "version label" in details:
        return ModelNotFound("model.version_label", f"{selector.version_label!r} is no label being served")
    if error.code() is grpc.StatusCode.NOT_FOUND:
        if selector.WhichOneof("choice") == "version":
            return ModelNotFound("model.version", f"version {selector.version} is not being served")
        # The caller asked for nothing that could not be.
        return BackendUnavailable(BACKEND)
    if error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}:
        return ModelUnusable(model)
    return refusal_of(error, BACKEND)


def _write_tensor(tensor: Any, values: NDArray[Any]) -> None:
    tensor.dtype = _DATA_TYPES[values.dtype]
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = values.tobytes()


def _read_tensor(tensor: Any, model: str) -> NDArray[Any]:
    shape = tuple([dim.size for dim in tensor.tensor_shape.dim])
    if tensor.dtype == _DT_STRING:
        return _texts(tensor, math.prod(shape), model).reshape(shape)
    if tensor.dtype not in _TYPED:
        raise ModelUnusable(model)
    field, dtype = _TYPED[tensor.dtype]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype=dtype).reshape(shape)
    values: NDArray[Any] = np.array(getattr(tensor, field), dtype=dtype)
    # TF may leave out trailing repeats: one value stands for all (tensor.proto).
    count = math.prod(shape)
    if 0 < len(values) < count:
        values = np.concatenate((values, np.full(count - len(values), values[-1])))
    if len(values) != count:
        raise ModelUnusable(model)
    return values.reshape(shape)


def _texts(tensor: Any, count: int, model: str) -> NDArray[Any]:
    content = tensor.tensor_content
    try:
        texts = decode_strings(content, count) if content else list(tensor.string_val)
    except ValueError:
        raise ModelUnusable(model) from None
    if len(texts) != count:
        raise ModelUnusable(model)
    return np.array(texts, dtype=np.object_)
