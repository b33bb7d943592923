# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the pods of a plan are ready: the front is asked about itself and its backends, the edge about its front."""

import contextlib
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.up.plan import Plan

# The service of the front whose health is a pod's; "" is the front itself.
_SERVICES: Final = {
    "front": "",
    "anomaly": "orrery.inference.v1.AnomalyService",
    "simulation": "orrery.inference.v1.SimulationService",
    "feedback": "orrery.inference.v1.FeedbackService",
    "model-server": "orrery.inference.v1.PredictionService",
}
_TIMEOUT_S: Final = 1.0


@contextlib.contextmanager
def readiness_checks(plan: Plan) -> Iterator[dict[str, Callable[[], bool]]]:
    """By pod, a function that asks whether it is ready."""
    with grpc.insecure_channel(plan.front.health_address or plan.front.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        checks: dict[str, Callable[[], bool]] = {
            pod: partial(_serves, health, service) for pod, service in _SERVICES.items()
        }
        if plan.edge is not None:
            checks["edge"] = partial(_has_a_front, plan.edge.metrics_address)
        yield checks


def _serves(health: health_pb2_grpc.HealthStub, service: str) -> bool:
    try:
        reply = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=_TIMEOUT_S)
    except grpc.RpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _has_a_front(edge_metrics: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{edge_metrics}/health", timeout=_TIMEOUT_S) as reply:
            return bool(reply.status == HTTPStatus.OK)
    except OSError:
        return False
