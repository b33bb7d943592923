# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of TensorFlow Serving's protocol that the gateway speaks, as a small descriptor set.

The online side never imports tensorflow (634 MB, over 20 s); it loads these descriptors into a pool of its own
instead. They are taken from the genuine tensorflow-serving-api package and cut down to Predict and GetModelStatus for
the front, to GetModelStatus and HandleReloadConfigRequest for `export.rollout`, which has no time to import it.
"""

from collections.abc import Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

# Message by file: everything that Predict and GetModelStatus reach, and nothing else.
_STATUS = {
    "tensorflow_serving/apis/model.proto": {"ModelSpec"},
    "google/protobuf/wrappers.proto": {"Int64Value"},
    "xla/tsl/protobuf/error_codes.proto": {"Code"},
    "tensorflow/core/protobuf/error_codes.proto": set(),
    "tensorflow_serving/apis/status.proto": {"StatusProto"},
    "tensorflow_serving/apis/get_model_status.proto": {
        "GetModelStatusRequest",
        "ModelVersionStatus",
        "GetModelStatusResponse",
    },
}
_PREDICT = {
    **_STATUS,
    "tensorflow/core/framework/types.proto": {"DataType"},
    "tensorflow/core/framework/tensor_shape.proto": {"TensorShapeProto"},
    "tensorflow/core/framework/resource_handle.proto": {"ResourceHandleProto"},
    "tensorflow/core/framework/tensor.proto": {"TensorProto", "VariantTensorDataProto"},
    "tensorflow_serving/apis/predict.proto": {"PredictRequest", "PredictStreamedOptions", "PredictResponse"},
}
_MANAGEMENT = {
    **_STATUS,
    "google/protobuf/any.proto": {"Any"},
    "tensorflow_serving/config/file_system_storage_path_source.proto": {"FileSystemStoragePathSourceConfig"},
    "tensorflow_serving/config/log_collector_config.proto": {"LogCollectorConfig"},
    "tensorflow_serving/config/logging_config.proto": {"PerTaskSamplingConfig", "SamplingConfig", "LoggingConfig"},
    "tensorflow_serving/config/model_server_config.proto": {
        "ModelConfig",
        "ModelConfigList",
        "ModelServerConfig",
        "ModelType",
    },
    "tensorflow_serving/apis/model_management.proto": {"Metric", "ReloadConfigRequest", "ReloadConfigResponse"},
}


def write_prediction_protocol(path: Path) -> int:
    """Write what the front speaks; returns its size in bytes."""
    # Imported here: tensorflow takes 20 s, and only this command wants its descriptors.
    from tensorflow_serving.apis import get_model_status_pb2, predict_pb2  # noqa: PLC0415  # see above

    return _write(path, _PREDICT, predict_pb2.DESCRIPTOR, get_model_status_pb2.DESCRIPTOR)


def write_management_protocol(path: Path) -> int:
    """Write what a rollout speaks; returns its size in bytes."""
    from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2  # noqa: PLC0415  # see above

    return _write(path, _MANAGEMENT, model_management_pb2.DESCRIPTOR, get_model_status_pb2.DESCRIPTOR)


def _write(path: Path, wanted: Mapping[str, set[str]], *roots: object) -> int:
    files: dict[str, FileDescriptorProto] = {}

    def collect(descriptor: object) -> None:
        name: str = descriptor.name  # type: ignore[attr-defined]  # the upb descriptors have no stubs
        if name in files:
            return
        proto = FileDescriptorProto()
        descriptor.CopyToProto(proto)  # type: ignore[attr-defined]  # as above
        if name not in wanted:
            return
        for dependency in descriptor.dependencies:  # type: ignore[attr-defined]  # as above
            collect(dependency)
        files[name] = _cut(proto, wanted)

    for root in roots:
        collect(root)
    if missing := wanted.keys() - files.keys():
        raise LookupError(f"tensorflow-serving-api no longer has {sorted(missing)}")
    # In dependency order, which is the order they were collected in.
    return path.write_bytes(FileDescriptorSet(file=files.values()).SerializeToString(deterministic=True))


def _cut(proto: FileDescriptorProto, wanted: Mapping[str, set[str]]) -> FileDescriptorProto:
    """Only the kept messages and enums, only the imports we have, no services and no language options."""
    imports = [name for name in proto.dependency if name in wanted]
    kept = wanted[proto.name]
    public = [imports.index(proto.dependency[index]) for index in proto.public_dependency]
    cut = FileDescriptorProto(
        name=proto.name, package=proto.package, syntax=proto.syntax, dependency=imports, public_dependency=public
    )
    cut.message_type.extend(message for message in proto.message_type if message.name in kept)
    cut.enum_type.extend(enum for enum in proto.enum_type if enum.name in kept)
    return cut
