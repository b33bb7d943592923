# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions and configs come and go while the embedded model server keeps answering."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from gateway.model_server.errors import Refusal
from gateway.model_server.tensors import decode, encode
from tests.contract.model_server_testbed import (
    MODEL,
    WAIT_S,
    export,
    model_config,
    predict_request,
    probability,
    refused,
    server_config,
    serving,
    write_checksums,
    write_warm_up,
)
from tests.pods import PROJECT_ROOT, free_address

ORBITS = np.array([[0.7460, 0.1911, 0.3, 0.2, 0.1, -1.0]])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two version folders to copy from: offsets 1.0 and 2.0."""
    folder = tmp_path_factory.mktemp("exported")
    return export(folder / "1", offset=1.0, variant="one"), export(folder / "2", offset=2.0, variant="two")


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    return folder


def publish(source, folder):
    """Copy a version folder as the exporter publishes: beside, then renamed."""
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.copytree(source, beside)
    beside.rename(folder)
    return folder


def error_of(client, version, name=MODEL):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    request.model_spec.version.value = version
    status = client.model.GetModelStatus(request).model_version_status[0].status
    return status.error_code, status.error_message


def reload(client, *models):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(server_config(*models), request.config)
    return client.model.HandleReloadConfigRequest(request, timeout=WAIT_S)


def health(client, service=""):
    return health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest(service=service)).status


def test_a_new_version_takes_over_while_calls_go_on_and_every_reply_is_of_one_version(tmp_path, store, exported):
    publish(exported[0], store / "1")
    with serving(tmp_path, server_config(model_config())) as client:
        seen, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                reply = client.predict(ORBITS)
                answer = decode(reply.outputs["pha_probability"], "pha_probability")
                seen.append((reply.model_spec.version.value, float(answer[0])))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            while not seen:
                stop.wait(0.01)
            publish(exported[1], store / "2")
            client.wait_for({2: "AVAILABLE", 1: "END"})
            after = len(seen)
            while len(seen) < after + 2:
                stop.wait(0.01)
        finally:
            stop.set()
            asking.join()
        versions = [version for version, _ in seen]
        assert versions == sorted(versions)
        assert set(versions) == {1, 2}
        for version, answer in seen:
            assert answer == pytest.approx(probability(ORBITS, offset=float(version))[0], rel=1e-6)
        refused(lambda: client.predict(ORBITS, version=1), StatusCode.NOT_FOUND, f"Specific({MODEL}, 1)")


def test_a_corrupt_new_version_ends_the_old_one_serves_and_a_repair_is_noticed(tmp_path, store, exported):
    publish(exported[0], store / "1")
    with serving(tmp_path, server_config(model_config())) as client:
        beside = shutil.copytree(exported[1], store / ".2")
        graph = beside / "saved_model.pb"
        whole = graph.read_bytes()
        graph.write_bytes(whole[:-1])
        beside.rename(store / "2")
        client.wait_for({2: "END", 1: "AVAILABLE"})
        code, message = error_of(client, 2)
        assert code == StatusCode.DATA_LOSS.value[0]
        assert "saved_model.pb" in message
        assert client.predict(ORBITS).model_spec.version.value == 1
        assert health(client) == health_pb2.HealthCheckResponse.SERVING
        (store / "2" / "saved_model.pb").write_bytes(whole)
        client.wait_for({2: "AVAILABLE", 1: "END"})
        assert client.predict(ORBITS).model_spec.version.value == 2


def test_a_folder_without_a_model_is_waited_for(tmp_path, store, exported):
    (store / "1").mkdir()
    with serving(tmp_path, server_config(model_config())) as client:
        client.wait_for({1: "END"})
        code, message = error_of(client, 1)
        assert code == StatusCode.NOT_FOUND.value[0]
        assert "Could not find SavedModel" in message
        assert health(client) == health_pb2.HealthCheckResponse.NOT_SERVING
        shutil.copytree(exported[0], store / "1", dirs_exist_ok=True)
        client.wait_for({1: "AVAILABLE"})
        assert client.predict(ORBITS).model_spec.version.value == 1


def test_a_file_that_is_no_saved_model_ends_with_an_error(tmp_path, store):
    (store / "1").mkdir()
    (store / "1" / "saved_model.pb").write_bytes(b"\xff" * 100)
    with serving(tmp_path, server_config(model_config())) as client:
        client.wait_for({1: "END"})
        assert error_of(client, 1)[0] == StatusCode.DATA_LOSS.value[0]


def test_latest_two_keeps_two(tmp_path, store, exported):
    for version in ("5", "6", "10"):
        publish(exported[0], store / version)
    with serving(tmp_path, server_config(model_config(policy="latest { num_versions: 2 }"))) as client:
        assert client.states() == {10: "AVAILABLE", 6: "AVAILABLE"}
        publish(exported[1], store / "11")
        client.wait_for({11: "AVAILABLE", 10: "AVAILABLE", 6: "END"})


def test_warm_up_records_run_before_a_version_is_available(tmp_path, store):
    export(store / "1", warm_up=[predict_request(ORBITS, model="anything")] * 3)
    with serving(tmp_path, server_config(model_config())) as client:
        request = predict_request(None, signature="count")
        encode(np.array(0, np.int32), request.inputs["nothing"], as_content=False)
        calls = client.prediction.Predict(request).outputs["calls"]
        assert decode(calls, "calls") == 3


def test_a_warm_up_record_that_fails_keeps_the_version_out(tmp_path, store, exported):
    publish(exported[0], store / "1")
    beside = shutil.copytree(exported[1], store / ".2")
    write_warm_up(beside, [predict_request(ORBITS[:, :5])])
    write_checksums(beside)
    beside.rename(store / "2")
    with serving(tmp_path, server_config(model_config(policy="all {}"))) as client:
        assert client.states() == {2: "END", 1: "AVAILABLE"}
        code, message = error_of(client, 2)
        assert code == StatusCode.INVALID_ARGUMENT.value[0]
        assert "shape mismatch" in message


def test_a_base_path_that_vanishes_unloads_nothing(tmp_path, store, exported):
    publish(exported[0], store / "1")
    with serving(tmp_path, server_config(model_config())) as client:
        store.rename(tmp_path / "elsewhere")
        publish(exported[1], tmp_path / "elsewhere" / "2")
        reload(client, model_config())
        assert client.states() == {1: "AVAILABLE"}
        assert client.predict(ORBITS).model_spec.version.value == 1
        (tmp_path / "elsewhere").rename(store)
        client.wait_for({2: "AVAILABLE", 1: "END"})


def test_an_empty_store_serves_nothing_until_something_is_published(tmp_path, store, exported):
    with serving(tmp_path, server_config(model_config())) as client:
        assert client.states() == {}
        refused(lambda: client.predict(ORBITS), StatusCode.NOT_FOUND, f"Latest({MODEL})")
        assert health(client, "PredictionService") == health_pb2.HealthCheckResponse.NOT_SERVING
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(
            health_pb2.HealthCheckRequest(service="PredictionService"), timeout=WAIT_S
        )
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        publish(exported[0], store / "1")
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        assert client.predict(ORBITS).model_spec.version.value == 1


def test_reload_changes_policy_and_moves_labels_to_available_versions_only(tmp_path, store, exported):
    publish(exported[0], store / "1")
    publish(exported[1], store / "2")
    stable = 'version_labels {{ key: "stable" value: {} }}'
    one = model_config(policy="specific { versions: 1 }", extra=stable.format(1))
    both = "specific { versions: 1 versions: 2 }"
    with serving(tmp_path, server_config(one)) as client:
        assert client.states() == {1: "AVAILABLE"}
        refused(
            lambda: reload(client, model_config(policy=both, extra=stable.format(2))),
            StatusCode.FAILED_PRECONDITION,
            "which is not currently available for inference",
        )
        assert client.states() == {1: "AVAILABLE"}
        assert reload(client, model_config(policy=both, extra=stable.format(1))).status.error_code == 0
        assert client.states() == {2: "AVAILABLE", 1: "AVAILABLE"}
        assert client.predict(ORBITS, label="stable").model_spec.version.value == 1
        reload(client, model_config(policy=both, extra=stable.format(2)))
        assert client.predict(ORBITS, label="stable").model_spec.version.value == 2
        reload(client, model_config(policy="specific { versions: 2 }"))
        client.wait_for({2: "AVAILABLE", 1: "END"})
        refused(lambda: client.predict(ORBITS, label="stable"), StatusCode.INVALID_ARGUMENT, "label: stable")
        reload(client, model_config(policy=both))
        client.wait_for({2: "AVAILABLE", 1: "AVAILABLE"})


def test_labels_for_unavailable_versions_need_the_setting(tmp_path, store, exported):
    publish(exported[0], store / "1")
    labelled = server_config(model_config(extra='version_labels { key: "stable" value: 1 }'))
    with (
        pytest.raises(Refusal, match="not currently available for inference"),
        serving(tmp_path, labelled, allow_version_labels_for_unavailable_models=False),
    ):
        pass


def test_reload_that_adds_a_broken_model_is_undone(tmp_path, store, exported):
    publish(exported[0], store / "1")
    broken = tmp_path / "models" / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"no")
    with serving(tmp_path, server_config(model_config())) as client:
        refused(
            lambda: reload(client, model_config("broken")),
            StatusCode.UNKNOWN,
            "1 model(s) did not become available: {{name: broken version: 1 due to error:",
        )
        assert client.predict(ORBITS).model_spec.version.value == 1
        assert health(client) == health_pb2.HealthCheckResponse.SERVING


def test_reload_adds_and_removes_models(tmp_path, store, exported):
    publish(exported[0], store / "1")
    other = tmp_path / "models" / "other"
    other.mkdir()
    publish(exported[1], other / "7")
    with serving(tmp_path, server_config(model_config())) as client:
        reload(client, model_config("other"))
        assert client.predict(ORBITS, model="other").model_spec.version.value == 7
        client.wait_for({1: "END"})
        refused(lambda: client.predict(ORBITS), StatusCode.NOT_FOUND, f"Latest({MODEL})")
        assert health(client) == health_pb2.HealthCheckResponse.SERVING


def test_the_config_file_is_followed_and_a_broken_one_changes_nothing(tmp_path, store, exported):
    publish(exported[0], store / "1")
    publish(exported[1], store / "2")
    file = tmp_path / "models.config"
    with serving(tmp_path, server_config(model_config())) as client:
        assert client.states() == {2: "AVAILABLE"}
        file.write_text("model_config_list { config {")
        reload(client, model_config())  # goes through the same queue: the broken file has been or will be looked at
        assert client.predict(ORBITS).model_spec.version.value == 2
        file.write_text(server_config(model_config(policy="all {}")))
        client.wait_for({2: "AVAILABLE", 1: "AVAILABLE"})


def test_outputs_can_be_tensor_content_strings_included(tmp_path, store, exported):
    publish(exported[0], store / "1")
    with serving(tmp_path, server_config(model_config()), enable_serialization_as_tensor_content=True) as client:
        output = client.predict(ORBITS).outputs["pha_probability"]
        assert len(output.tensor_content) == 4
        assert decode(output, "p") == pytest.approx(probability(ORBITS))
        request = predict_request(None, signature="describe")
        encode(np.zeros(2, np.int32), request.inputs["rows"], as_content=True)
        variant = client.prediction.Predict(request).outputs["variant"]
        assert variant.dtype == types_pb2.DT_STRING
        assert variant.tensor_content == b"\x03\x03oneone"


@pytest.mark.long
def test_the_process_serves_and_drains_on_sigterm(tmp_path, store, exported):
    publish(exported[0], store / "1")
    address, status_address = free_address(), free_address()
    environment = {
        **os.environ,
        "ORRERY_MODEL_SERVER_ADDRESS": address,
        "ORRERY_MODEL_SERVER_STATUS_ADDRESS": status_address,
        "ORRERY_MODEL_STORE": str(tmp_path / "models"),
    }
    command = [sys.executable, "-m", "gateway", "model-server"]
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=environment, cwd=PROJECT_ROOT, stderr=stderr)
    try:
        with grpc.insecure_channel(address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            reply = check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=180)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with urllib.request.urlopen(f"http://{status_address}/v1/models/{MODEL}", timeout=WAIT_S) as status:
            assert b"AVAILABLE" in status.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
    assert '"event": "stopped"' in log.read_text()
