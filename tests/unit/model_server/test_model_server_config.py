# SPDX-License-Identifier: GPL-3.0-or-later
"""ModelServerConfig, and the files of serving_config/ that production's server reads."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from gateway.model_server.config import model_sources, read_config_file
from gateway.model_server.errors import Refusal
from gateway.model_server.storage import VersionPolicy
from tests.pods import PROJECT_ROOT

SERVING_CONFIG = PROJECT_ROOT / "serving_config"
ROOT = Path("/store")


def parse(*models):
    config = text_format.Parse(
        f"model_config_list {{ {' '.join(f'config {{ {model} }}' for model in models)} }}",
        model_server_config_pb2.ModelServerConfig(),
    )
    return model_sources(config, ROOT)


def test_the_committed_config_serves_the_classifier_from_the_model_store():
    sources = model_sources(read_config_file(SERVING_CONFIG / "models.config"), ROOT)
    assert set(sources) == {"neo_classifier"}
    assert sources["neo_classifier"].base_path == ROOT / "neo_classifier"
    assert sources["neo_classifier"].policy == VersionPolicy.latest(2)


@pytest.mark.parametrize(
    ("base_path", "local"),
    [("/models/a", ROOT / "a"), ("/models/a/b/", ROOT / "a/b"), ("/modelsx/a", Path("/modelsx/a"))],
)
def test_models_is_mapped_and_other_paths_are_not(base_path, local):
    assert parse(f'name: "a" base_path: "{base_path}" model_platform: "tensorflow"')["a"].base_path == local


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", VersionPolicy.latest(1)),
        ("model_version_policy { latest {} }", VersionPolicy.latest(1)),
        ("model_version_policy { latest { num_versions: 3 } }", VersionPolicy.latest(3)),
        ("model_version_policy { all {} }", VersionPolicy.every()),
        ("model_version_policy { specific { versions: 5 versions: 7 } }", VersionPolicy.specific([5, 7])),
    ],
)
def test_policies(policy, expected):
    model = f'name: "a" base_path: "/models/a" model_platform: "tensorflow" {policy}'
    assert parse(model)["a"].policy == expected


def test_the_deprecated_model_type_is_understood():
    assert set(parse('name: "a" base_path: "/models/a" model_type: TENSORFLOW')) == {"a"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ('base_path: "/models/a" model_platform: "tensorflow"', "without a name"),
        ('name: "a" base_path: "gs://bucket/a" model_platform: "tensorflow"', "reads no URIs"),
        ('name: "a" base_path: "" model_platform: "tensorflow"', "absolute path"),
        ('name: "a" base_path: "/a" model_type: OTHER', "not supported"),
        ('name: "a" base_path: "/a" model_type: TENSORFLOW model_platform: "tensorflow"', "Illegal setting both"),
        ('name: "a" base_path: "/a"', "Illegal setting neither"),
    ],
)
def test_bad_models_are_refused(model, message):
    with pytest.raises(Refusal, match=message):
        parse(model)


@pytest.mark.parametrize("content", [b"model_config_list { confg {} }", b"\xff", None])
def test_a_file_that_cannot_be_read_is_refused_with_its_name(tmp_path, content):
    file = tmp_path / "models.config"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refusal, match=f"Failed to read ModelServerConfig file {file}"):
        read_config_file(file)


def message_type(name, fields):
    """A protobuf message of TensorFlow Serving that its Python package does not carry."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto",
        package=f"test.{name.lower()}",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    message = file.message_type.add(name=name)
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, (field, kind) in fields.items():
        is_message = kind.startswith(".")
        message.field.add(
            name=field,
            number=number,
            label=kinds.LABEL_OPTIONAL,
            type=kinds.TYPE_MESSAGE if is_message else kinds.Type.Value(kind),
            type_name=kind if is_message else None,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))


def test_batching_parameters_parse_and_hold_together():
    integer, boolean = ".google.protobuf.Int64Value", ".google.protobuf.BoolValue"
    # BatchingParameters of tensorflow_serving/servables/tensorflow/session_bundle_config.proto
    fields = {
        1: ("max_batch_size", integer),
        2: ("batch_timeout_micros", integer),
        3: ("max_enqueued_batches", integer),
        4: ("num_batch_threads", integer),
        8: ("enable_large_batch_splitting", boolean),
        9: ("max_execution_batch_size", integer),
    }
    text = (SERVING_CONFIG / "batching.config").read_text()
    parameters = text_format.Parse(text, message_type("BatchingParameters", fields)())
    # SharedBatchScheduler::AddQueue refuses less.
    assert parameters.max_batch_size.value >= parameters.max_execution_batch_size.value > 0


def test_monitoring_config_names_the_path_of_the_embedded_server():
    # PrometheusConfig of tensorflow_serving/config/monitoring_config.proto
    prometheus = message_type("PrometheusConfig", {1: ("enable", "TYPE_BOOL"), 2: ("path", "TYPE_STRING")})
    text = (SERVING_CONFIG / "monitoring.config").read_text()
    body = text[text.index("prometheus_config {") + len("prometheus_config {") : text.rindex("}")]
    config = text_format.Parse(body, prometheus())
    assert config.enable
    assert config.path == "/monitoring/prometheus/metrics"
