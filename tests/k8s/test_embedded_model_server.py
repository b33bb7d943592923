# SPDX-License-Identifier: GPL-3.0-or-later
"""components/embedded-model-server: the container's own command and environment, asked as the kubelet and fronts do."""

import os
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.contract.model_server_testbed import MODEL, export, predict_request
from tests.k8s import manifests
from tests.k8s.manifests import environment, of_kind, workloads
from tests.pods import free_address

READY_WITHIN_S = 120
EROS = [1.133, 0.2228, 10.83, 304.27, 178.93, 10.4]


@pytest.fixture(scope="module")
def container(rendered):
    (found,) = (workload for workload in workloads(rendered["offline"]) if workload.app == "tf-serving")
    return found.servers[0]


def test_no_image_comes_from_a_registry(rendered):
    images = {c["image"] for workload in workloads(rendered["offline"]) for c in workload.containers}
    assert {image.partition("/")[0] for image in images} == {"localhost"}


def test_its_health_is_asked_for_readiness_alone(container):
    """It says NOT_SERVING while a model is broken: a pod is not killed for that."""
    assert "grpc" not in container["startupProbe"]
    assert "grpc" not in container["livenessProbe"]
    assert container["readinessProbe"]["grpc"]["service"] == "PredictionService"


def test_the_container_serves_the_models_of_the_config_map(rendered, container, tmp_path):
    store = tmp_path / "models" / MODEL
    store.mkdir(parents=True)
    export(store / "1")
    for document in of_kind(rendered["offline"], "ConfigMap"):
        for name, text in document["data"].items():
            (tmp_path / name).write_text(text)
    variables = {name: value.replace("/etc/serving/", f"{tmp_path}/") for name, value in environment(container).items()}
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    address = free_address()
    for name, port, here in (("ADDRESS", "grpc", address), ("STATUS_ADDRESS", "rest", free_address())):
        assert variables[f"ORRERY_MODEL_SERVER_{name}"] == f"0.0.0.0:{ports[port]}"
        variables[f"ORRERY_MODEL_SERVER_{name}"] = here
    variables["ORRERY_MODEL_STORE"] = str(store.parent)
    command = [sys.executable, "-m", "gateway", *container["args"]]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **variables}, cwd=manifests.PROJECT_ROOT)
    try:
        with grpc.insecure_channel(address) as channel:
            await_serving(process, channel, container["readinessProbe"]["grpc"]["service"])
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            reply = stub.Predict(predict_request([EROS]), timeout=30)
        assert reply.model_spec.version.value == 1
        process.terminate()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


def await_serving(process, channel, service):
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        except grpc.RpcError:
            reply = None
        if reply is not None and reply.status == health_pb2.HealthCheckResponse.SERVING:
            return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
