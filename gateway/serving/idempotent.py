# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods of other pods that may be called twice for one question: the contract's `idempotency_level`, and others'."""

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from orrery.inference.v1 import (
    anomaly_service_pb2,
    feedback_service_pb2,
    prediction_service_pb2,
    simulation_service_pb2,
)

# Their descriptors say nothing; all of these only read.
_OF_OTHERS: Final = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/tensorflow.serving.ModelService/GetModelStatus",
        "/tensorflow.serving.PredictionService/Predict",
    }
)


def idempotent_of(files: Iterable[FileDescriptor]) -> frozenset[str]:
    """Full names ("/package.Service/Method") of the methods that have an `idempotency_level`."""
    return frozenset(
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    )


IDEMPOTENT: Final = _OF_OTHERS | idempotent_of(
    module.DESCRIPTOR
    for module in (anomaly_service_pb2, feedback_service_pb2, prediction_service_pb2, simulation_service_pb2)
)
"""What a channel between pods calls again after UNAVAILABLE."""
