# SPDX-License-Identifier: GPL-3.0-or-later
"""The model server without its transport: requests in, replies or refusals out."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import structlog
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from gateway.model_server import metrics
from gateway.model_server.errors import invalid, not_found
from gateway.model_server.repository import Repository, VersionStatus
from gateway.model_server.servable import SavedModel
from gateway.model_server.settings import Flags, ModelServerSettings
from gateway.model_server.tensors import encode
from gateway.model_server.watcher import Watcher

SIGNATURE_DEF = "signature_def"

log = structlog.get_logger()


class ModelServer:
    """Models that follow a config and a store; all methods may be called from any thread."""

    def __init__(self, settings: ModelServerSettings, flags: Flags | None = None) -> None:
        """Read the config; `start` loads.

        Raises:
            Refusal: the config is wrong.
        """
        self._flags = flags or Flags()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._repository: Repository[SavedModel] = Repository(self._load, self._changed, self._idle)
        self._watcher = Watcher(settings, self._flags, self._repository, self._tell)

    @property
    def settled(self) -> threading.Event:
        """Set when the first round of loading is over, well or badly."""
        return self._watcher.settled

    @property
    def is_ready(self) -> bool:
        """Whether every model of the config has a version in service."""
        models = self._watcher.sources
        return self._watcher.is_running and all(self._repository.is_available(name) for name in models)

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function called, on some thread, whenever a version's state or the config has changed."""
        self._listeners = (*self._listeners, listener)

    def start(self) -> None:
        """Begin to load and to follow config and store."""
        self._watcher.start()

    def stop(self) -> None:
        """Unload everything; call it when no calls come in any more."""
        self._watcher.stop()

    def predict(self, request: Any) -> Any:
        """PredictionService.Predict: one version answers, and the reply names it.

        Args:
            request: a PredictRequest.

        Raises:
            Refusal: see SavedModel.predict and Repository.use.
        """
        with (
            self._servable(request) as (version, model),
            metrics.PREDICT_SECONDS.labels(request.model_spec.name).time(),
        ):
            spec = request.model_spec
            signature_name, outputs = model.predict(spec.signature_name, request.inputs, request.output_filter)
            as_content = self._flags.enable_serialization_as_tensor_content
            reply = predict_pb2.PredictResponse()
            for alias, array in outputs.items():
                encode(array, reply.outputs[alias], as_content=as_content)
            reply.model_spec.name = spec.name
            reply.model_spec.version.value = version
            reply.model_spec.signature_name = signature_name
            return reply

    def metadata(self, request: Any) -> Any:
        """PredictionService.GetModelMetadata: the signatures of a version.

        Args:
            request: a GetModelMetadataRequest.

        Raises:
            Refusal: INVALID_ARGUMENT for another field than "signature_def"; NOT_FOUND.
        """
        _require_model_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for metadata_field in request.metadata_field:
            if metadata_field != SIGNATURE_DEF:
                raise invalid(f"Metadata field {metadata_field} is not supported")
        with self._servable(request) as (version, model):
            reply = get_model_metadata_pb2.GetModelMetadataResponse()
            reply.model_spec.name = request.model_spec.name
            reply.model_spec.version.value = version
            reply.metadata[SIGNATURE_DEF].Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=model.signatures))
            return reply

    def status(self, request: Any) -> Any:
        """ModelService.GetModelStatus: the states of one version or of all, highest first.

        Args:
            request: a GetModelStatusRequest; its label, if any, is ignored as TensorFlow Serving does.

        Raises:
            Refusal: NOT_FOUND when nothing is known of it.
        """
        _require_model_spec(request)
        spec = request.model_spec
        statuses = self._repository.statuses(spec.name)
        if not statuses:
            raise not_found(f"Could not find any versions of model {spec.name}")
        if spec.HasField("version"):
            statuses = [status for status in statuses if status.number == spec.version.value]
            if not statuses:
                raise not_found(f"Could not find version {spec.version.value} of model {spec.name}")
        reply = get_model_status_pb2.GetModelStatusResponse()
        for status in statuses:
            entry = reply.model_version_status.add(version=status.number, state=int(status.state))
            entry.status.SetInParent()
            if status.error is not None:
                entry.status.error_code = status.error.code
                entry.status.error_message = str(status.error)
        return reply

    def reload(self, request: Any) -> Future[None]:
        """ModelService.HandleReloadConfigRequest: another config, all of it or nothing.

        Args:
            request: a ReloadConfigRequest.

        Raises:
            Refusal: INVALID_ARGUMENT when it holds no list of models. The future raises the others.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        return self._watcher.reload(request.config)

    def _load(self, folder: Path) -> SavedModel:
        return SavedModel(folder, self._flags.intra_op_threads, self._flags.inter_op_threads)

    def _changed(self, model: str, status: VersionStatus) -> None:
        metrics.record(model, status)
        if status.error is None:
            log.info("model version", model=model, version=status.number, state=status.state.name)
        else:
            log.error(
                "model version", model=model, version=status.number, state=status.state.name, error=str(status.error)
            )
        self._tell()

    def _idle(self) -> None:
        self._watcher.wake()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _servable(self, request: Any) -> AbstractContextManager[tuple[int, SavedModel]]:
        _require_model_spec(request)
        spec = request.model_spec
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        match spec.WhichOneof("version_choice"):
            case "version":
                return self._repository.use(spec.name, spec.version.value)
            case "version_label":
                return self._repository.use(spec.name, self._repository.labelled(spec.name, spec.version_label))
            case _:
                return self._repository.use(spec.name)


def _require_model_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
