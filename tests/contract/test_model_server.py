# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded model server speaks TensorFlow Serving's protocol, seen through its genuine stubs."""

import json
import math
import shutil
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    regression_pb2,
)

from tests.contract.model_server_testbed import (
    MODEL,
    export,
    model_config,
    predict_request,
    probability,
    refused,
    server_config,
    serving,
)

OLD, NEW, CORRUPT = 20260101000000, 20260201000000, 20260301000000
# q (au), e, i (deg), node (deg), argument of perihelion (deg), H; the tiny model only adds them up
ORBITS = np.array([[0.7460, 0.1911, 0.3, 0.2, 0.1, -1.0], [1.1335, 0.2227, 0.1, 0.0, 0.3, 0.7]])


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    root = tmp_path_factory.mktemp("model_server")
    store = root / "models" / MODEL
    store.mkdir(parents=True)
    old = export(store / str(OLD), offset=1.0, variant="old")
    export(store / str(NEW), offset=2.0, variant="new")
    shutil.copytree(old, store / str(CORRUPT))
    with (store / str(CORRUPT) / "variables" / "variables.data-00000-of-00001").open("r+b") as file:
        file.write(b"!")
    (store / "notes").mkdir()
    labels = f'version_labels {{ key: "stable" value: {OLD} }} version_labels {{ key: "canary" value: {NEW} }}'
    config = server_config(model_config(policy="all {}", extra=labels))
    with serving(root, config, enable_serialization_as_tensor_content=False) as client:
        yield client


def array(reply, alias):
    return tf.make_ndarray(reply.outputs[alias])


def test_predict_by_default_runs_the_newest_version_and_the_reply_names_it(client):
    reply = client.predict(ORBITS)
    assert reply.model_spec.name == MODEL
    assert reply.model_spec.version.value == NEW
    assert reply.model_spec.signature_name == "serving_default"
    expected = probability(ORBITS, offset=2.0)
    np.testing.assert_allclose(array(reply, "pha_probability"), expected, rtol=1e-6)
    np.testing.assert_array_equal(array(reply, "potentially_hazardous"), expected >= 0.5)
    powers = np.exp(ORBITS[:, :4])
    np.testing.assert_allclose(
        array(reply, "class_probabilities"), powers / powers.sum(axis=1, keepdims=True), rtol=1e-5
    )
    assert {alias: output.dtype for alias, output in reply.outputs.items()} == {
        "pha_probability": types_pb2.DT_FLOAT,
        "potentially_hazardous": types_pb2.DT_BOOL,
        "class_probabilities": types_pb2.DT_FLOAT,
    }


@pytest.mark.parametrize(
    ("choice", "version", "offset"),
    [
        ({"version": OLD}, OLD, 1.0),
        ({"version": NEW}, NEW, 2.0),
        ({"label": "stable"}, OLD, 1.0),
        ({"label": "canary"}, NEW, 2.0),
    ],
)
def test_predict_runs_the_version_or_label_asked_for(client, choice, version, offset):
    reply = client.predict(ORBITS, **choice)
    assert reply.model_spec.version.value == version
    np.testing.assert_allclose(array(reply, "pha_probability"), probability(ORBITS, offset), rtol=1e-6)


def test_predict_runs_a_named_signature_with_strings(client):
    request = predict_request(None, signature="describe", version=OLD)
    request.inputs["rows"].CopyFrom(tf.make_tensor_proto(np.zeros(3, np.int32)))
    reply = client.prediction.Predict(request)
    assert reply.model_spec.signature_name == "describe"
    assert array(reply, "variant").tolist() == [b"old"] * 3
    assert array(reply, "training_data").tolist() == [b"synthetic"] * 3


def test_outputs_are_typed_fields_where_they_are_not_packed(client):
    output = client.predict(ORBITS).outputs["pha_probability"]
    assert len(output.float_val) == len(ORBITS)
    assert output.tensor_content == b""


def test_output_filter_limits_the_reply(client):
    request = predict_request(ORBITS)
    request.output_filter.append("pha_probability")
    reply = client.prediction.Predict(request)
    assert list(reply.outputs) == ["pha_probability"]


def test_typed_input_fields_and_tensor_content_give_the_same(client):
    request = predict_request(None)
    typed = request.inputs["orbits"]
    typed.dtype = types_pb2.DT_DOUBLE
    typed.tensor_shape.CopyFrom(tf.TensorShape(ORBITS.shape).as_proto())
    typed.double_val.extend(ORBITS.ravel().tolist())
    assert predict_request(ORBITS).inputs["orbits"].tensor_content
    assert client.prediction.Predict(request) == client.predict(ORBITS)


def test_nan_passes_as_it_is(client):
    reply = client.predict([[math.nan] * 6, ORBITS[0]])
    values = array(reply, "pha_probability")
    assert math.isnan(values[0])
    assert not math.isnan(values[1])


def test_an_empty_batch_gives_empty_outputs(client):
    reply = client.predict(np.empty((0, 6)))
    assert array(reply, "pha_probability").shape == (0,)
    assert array(reply, "class_probabilities").shape == (0, 4)


def test_messages_larger_than_grpcs_own_limit_pass(client):
    orbits = np.tile(ORBITS, (60_000, 1))
    assert orbits.nbytes > 4 * 1024 * 1024
    reply = client.predict(orbits)
    np.testing.assert_allclose(array(reply, "pha_probability"), probability(orbits, 2.0), rtol=1e-6)


def test_a_burst_on_one_connection_loses_no_call(client):
    request = predict_request(ORBITS)
    calls = [client.prediction.Predict.future(request) for _ in range(2000)]
    assert {call.code() for call in calls} == {StatusCode.OK}


def without_model_spec(request):
    request.ClearField("model_spec")


def extra_input(request):
    request.inputs["more"].CopyFrom(request.inputs["orbits"])


def misnamed_input(request):
    request.inputs["orbit"].CopyFrom(request.inputs["orbits"])
    del request.inputs["orbits"]


def single_precision(request):
    request.inputs["orbits"].CopyFrom(tf.make_tensor_proto(ORBITS.astype(np.float32)))


def five_columns(request):
    request.inputs["orbits"].CopyFrom(tf.make_tensor_proto(ORBITS[:, :5]))


def one_dimension(request):
    request.inputs["orbits"].CopyFrom(tf.make_tensor_proto(ORBITS[0]))


def short_content(request):
    tensor = request.inputs["orbits"]
    tensor.tensor_content = tensor.tensor_content[:-1]


def negative_shape(request):
    request.inputs["orbits"].tensor_shape.dim[0].size = -1


def endless_shape(request):
    request.inputs["orbits"].tensor_content = b""
    request.inputs["orbits"].tensor_shape.dim[0].size = 2**40


def no_type(request):
    request.inputs["orbits"].dtype = types_pb2.DT_INVALID


def set_spec(**fields):
    def change(request):
        for name, value in fields.items():
            if name == "version":
                request.model_spec.version.value = value
            else:
                setattr(request.model_spec, name, value)

    return change


def filters(*aliases):
    def change(request):
        request.output_filter.extend(aliases)

    return change


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (set_spec(name="nobody"), StatusCode.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        (set_spec(version=3), StatusCode.NOT_FOUND, f"Servable not found for request: Specific({MODEL}, 3)"),
        (set_spec(version=CORRUPT), StatusCode.NOT_FOUND, f"request: Specific({MODEL}, {CORRUPT})"),
        (set_spec(version_label="no"), StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: no"),
        (set_spec(name=""), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (without_model_spec, StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
        (
            set_spec(signature_name="no"),
            StatusCode.FAILED_PRECONDITION,
            'Serving signature key "no" not found.',
        ),
        (
            lambda request: request.inputs.clear(),
            StatusCode.INVALID_ARGUMENT,
            "match signature: 0!=1 len({}) != len({orbits}). Sent extra: {}. Missing but required: {orbits}.",
        ),
        (
            extra_input,
            StatusCode.INVALID_ARGUMENT,
            "input size does not match signature: 2!=1 len({more,orbits}) != len({orbits}). Sent extra: {more}.",
        ),
        (misnamed_input, StatusCode.INVALID_ARGUMENT, "Signature input alias: orbits(feed name:"),
        (single_precision, StatusCode.INVALID_ARGUMENT, "Type mismatch: actual float vs. expect double"),
        (five_columns, StatusCode.INVALID_ARGUMENT, "got [2,5], signature expects [?,6]"),
        (one_dimension, StatusCode.INVALID_ARGUMENT, "got [6], signature expects [?,6]"),
        (short_content, StatusCode.INVALID_ARGUMENT, "tensor parsing error: orbits"),
        (negative_shape, StatusCode.INVALID_ARGUMENT, "tensor parsing error: orbits"),
        (endless_shape, StatusCode.INVALID_ARGUMENT, "tensor parsing error: orbits"),
        (no_type, StatusCode.INVALID_ARGUMENT, "tensor parsing error: orbits"),
        (filters("no"), StatusCode.INVALID_ARGUMENT, "output tensor alias not found in signature: no"),
        (
            filters("pha_probability", "pha_probability"),
            StatusCode.INVALID_ARGUMENT,
            "duplicate output tensor alias: pha_probability",
        ),
    ],
)
def test_predict_refuses_with_tensorflow_servings_code_and_words(client, change, code, message):
    request = predict_request(ORBITS)
    change(request)
    refused(lambda: client.prediction.Predict(request), code, message)
    assert client.predict(ORBITS).model_spec.version.value == NEW


def test_the_init_signature_is_refused_not_run(client):
    request = predict_request(None, signature="__saved_model_init_op")
    refused(lambda: client.prediction.Predict(request), StatusCode.OUT_OF_RANGE, "NoOp")


def metadata_request(*fields, **spec):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.CopyFrom(predict_request(None, **spec).model_spec)
    return request


def test_metadata_shows_the_signatures(client):
    reply = client.prediction.GetModelMetadata(metadata_request("signature_def", label="stable"))
    assert (reply.model_spec.name, reply.model_spec.version.value) == (MODEL, OLD)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    orbits = signatures.signature_def["serving_default"].inputs["orbits"]
    assert orbits.dtype == types_pb2.DT_DOUBLE
    assert [dim.size for dim in orbits.tensor_shape.dim] == [-1, 6]
    assert signatures.signature_def["serving_default"].method_name == "tensorflow/serving/predict"
    assert set(signatures.signature_def["describe"].outputs) == {"variant", "training_data"}


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (metadata_request(), StatusCode.INVALID_ARGUMENT, "must specify at least one metadata_field"),
        (metadata_request("weights"), StatusCode.INVALID_ARGUMENT, "Metadata field weights is not supported"),
        (metadata_request("signature_def", model="no"), StatusCode.NOT_FOUND, "request: Latest(no)"),
        (get_model_metadata_pb2.GetModelMetadataRequest(), StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
    ],
)
def test_metadata_refuses(client, request_, code, message):
    refused(lambda: client.prediction.GetModelMetadata(request_), code, message)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Classify", classification_pb2.ClassificationRequest()),
        ("Regress", regression_pb2.RegressionRequest()),
        ("MultiInference", inference_pb2.MultiInferenceRequest()),
    ],
)
def test_other_methods_say_that_they_are_not_served(client, method, request_):
    call = getattr(client.prediction, method)
    refused(lambda: call(request_), StatusCode.UNIMPLEMENTED, f"{method} is not served")


def status_request(name=MODEL, version=None):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


def test_status_lists_every_version_highest_first_and_says_why_one_ended(client):
    reply = client.model.GetModelStatus(status_request())
    states = get_model_status_pb2.ModelVersionStatus
    assert [(entry.version, entry.state) for entry in reply.model_version_status] == [
        (CORRUPT, states.END),
        (NEW, states.AVAILABLE),
        (OLD, states.AVAILABLE),
    ]
    corrupt, new, _ = (entry.status for entry in reply.model_version_status)
    assert corrupt.error_code == 15  # DATA_LOSS
    assert "variables/variables.data-00000-of-00001" in corrupt.error_message
    assert (new.error_code, new.error_message) == (0, "")


def test_status_of_one_version(client):
    reply = client.model.GetModelStatus(status_request(version=OLD))
    assert [entry.version for entry in reply.model_version_status] == [OLD]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (status_request("no"), StatusCode.NOT_FOUND, "Could not find any versions of model no"),
        (status_request(version=3), StatusCode.NOT_FOUND, f"Could not find version 3 of model {MODEL}"),
        (get_model_status_pb2.GetModelStatusRequest(), StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
    ],
)
def test_status_refuses(client, request_, code, message):
    refused(lambda: client.model.GetModelStatus(request_), code, message)


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ("", StatusCode.INVALID_ARGUMENT, "Only ModelConfigList is currently supported"),
        ("custom_model_config {}", StatusCode.INVALID_ARGUMENT, "Only ModelConfigList is currently supported"),
        (
            server_config(model_config(), model_config()),
            StatusCode.INVALID_ARGUMENT,
            f"Illegal to list model {MODEL} multiple times in config list",
        ),
        (
            server_config(model_config(base_path="models/neo_classifier")),
            StatusCode.INVALID_ARGUMENT,
            f"Expected model {MODEL} to have an absolute path or URI; got base_path()=models/neo_classifier",
        ),
        (
            server_config(model_config(), model_config("other")),
            StatusCode.INVALID_ARGUMENT,
            "Could not find base path",
        ),
        (
            server_config(model_config(extra='version_labels { key: "stable" value: 3 }')),
            StatusCode.FAILED_PRECONDITION,
            f"Request to assign label to version 3 of model {MODEL}, which is not currently available for inference",
        ),
        (
            server_config(model_config().replace("tensorflow", "onnx")),
            StatusCode.INVALID_ARGUMENT,
            f"Model {MODEL} requests unsupported platform onnx",
        ),
        (
            server_config(model_config().replace('"tensorflow"', '""')),
            StatusCode.INVALID_ARGUMENT,
            "Illegal setting neither ModelServerConfig::model_type",
        ),
    ],
)
def test_a_bad_config_is_refused_and_the_old_one_keeps_serving(client, config, code, message):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(config, request.config)
    refused(lambda: client.model.HandleReloadConfigRequest(request), code, message)
    assert client.predict(ORBITS, label="stable").model_spec.version.value == OLD
    assert client.predict(ORBITS).model_spec.version.value == NEW


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health_is_serving_when_every_model_is_available(client, service):
    check = health_pb2_grpc.HealthStub(client.channel).Check
    request = health_pb2.HealthCheckRequest(service=service)
    assert check(request, wait_for_ready=True).status == health_pb2.HealthCheckResponse.SERVING


def get(client, path):
    try:
        with urllib.request.urlopen(f"http://{client.server.status_address}{path}", timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_rest_status_has_tensorflow_servings_form(client):
    code, body = get(client, f"/v1/models/{MODEL}/versions/{NEW}")
    assert code == 200
    assert json.loads(body) == {
        "model_version_status": [
            {"version": str(NEW), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    code, body = get(client, f"/v1/models/{MODEL}")
    assert [entry["state"] for entry in json.loads(body)["model_version_status"]] == [
        "END",
        "AVAILABLE",
        "AVAILABLE",
    ]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/models/no", "Could not find any versions of model no"),
        ("/v1/models/a:predict", "Malformed request: GET /v1/models/a:predict"),
    ],
)
def test_rest_status_refuses(client, path, error):
    code, body = get(client, path)
    assert (code, json.loads(body)) == (404, {"error": error})


def test_metrics_count_the_corrupt_version_and_the_calls(client):
    client.predict(ORBITS)
    code, body = get(client, "/monitoring/prometheus/metrics")
    assert code == 200
    samples = dict(line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
    assert float(samples[f'orrery_model_server_loads_total{{model="{MODEL}",outcome="corrupt"}}']) >= 1
    assert float(samples[f'orrery_model_server_loads_total{{model="{MODEL}",outcome="loaded"}}']) >= 2
    assert samples[f'orrery_model_server_version_available{{model="{MODEL}",version="{NEW}"}}'] == "1.0"
    assert float(samples[f'orrery_model_server_predict_seconds_count{{model="{MODEL}"}}']) >= 1


def test_a_second_server_on_the_same_port_is_refused(client, tmp_path):
    with (
        pytest.raises(OSError, match="in use"),
        serving(tmp_path, server_config(), address=client.server.address),
    ):
        pass


def test_unknown_methods_are_unimplemented(client):
    call = client.channel.unary_unary("/tensorflow.serving.PredictionService/Nothing")
    with pytest.raises(grpc.RpcError) as error:
        call(b"")
    assert error.value.code() is StatusCode.UNIMPLEMENTED
