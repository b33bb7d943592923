# SPDX-License-Identifier: GPL-3.0-or-later
"""TensorFlow Serving's ModelService and its config, without tensorflow: see `export.tables.serving_protocol`."""

from importlib import resources
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FILE: Final = "model_management.binpb"
_NAMES: Final = (
    "ModelServerConfig",
    "ReloadConfigRequest",
    "ReloadConfigResponse",
    "GetModelStatusRequest",
    "GetModelStatusResponse",
)


def _message_classes() -> dict[str, Any]:
    content = resources.files("export.rollout").joinpath(FILE).read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
        pool.AddSerializedFile(file.SerializeToString())
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"tensorflow.serving.{name}")) for name in _NAMES}


MESSAGES: Final = _message_classes()
