# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the Open Inference Protocol, from the descriptors that `make protos` writes.

In the default pool, where reflection finds them.
"""

from importlib import resources
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import ServiceDescriptor


def _service() -> ServiceDescriptor:
    content = resources.files("gateway.front").joinpath("open_inference.binpb").read_bytes()
    pool = descriptor_pool.Default()
    for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
        pool.AddSerializedFile(file.SerializeToString())
    service: ServiceDescriptor = pool.FindServiceByName("inference.GRPCInferenceService")
    return service


SERVICE: Final = _service()

MESSAGES: Final[dict[str, Any]] = {
    message.name: message_factory.GetMessageClass(message)
    for method in SERVICE.methods
    for message in (method.input_type, method.output_type)
}
"""Classes of the requests and replies, by name."""
