# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SavedModels, and a real embedded model server in a thread, for the tests of gateway.model_server."""

import asyncio
import contextlib
import hashlib
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from gateway.model_server.app import running
from gateway.model_server.settings import Flags, ModelServerSettings

MODEL = "neo_classifier"
WAIT_S = 30.0


class TinyClassifier(tf.Module):
    """The signatures of neo_classifier with arithmetic that a test can repeat."""

    def __init__(self, offset, variant):
        super().__init__()
        self.offset = tf.Variable(offset, dtype=tf.float32)
        self.calls = tf.Variable(0, dtype=tf.int64)
        self.variant = variant

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float64, name="orbits")])
    def classify(self, orbits):
        self.calls.assign_add(1)
        features = tf.cast(orbits, tf.float32)
        probability = tf.sigmoid(self.offset - tf.reduce_sum(features, axis=1))
        return {
            "pha_probability": probability,
            "potentially_hazardous": probability >= 0.5,
            "class_probabilities": tf.nn.softmax(features[:, :4]),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="rows")])
    def describe(self, rows):
        return {
            "variant": tf.fill(tf.shape(rows), self.variant),
            "training_data": tf.fill(tf.shape(rows), "synthetic"),
        }

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="nothing")])
    def count(self, nothing):
        return {"calls": self.calls + tf.cast(nothing, tf.int64)}


class RenamedOutput(TinyClassifier):
    """One output has another name."""

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float64, name="orbits")])
    def classify(self, orbits):
        outputs = TinyClassifier.classify.python_function(self, orbits)
        return {"renamed" if name == "pha_probability" else name: value for name, value in outputs.items()}


class OtherShape(TinyClassifier):
    """Five classes."""

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float64, name="orbits")])
    def classify(self, orbits):
        outputs = TinyClassifier.classify.python_function(self, orbits)
        return {**outputs, "class_probabilities": tf.nn.softmax(tf.cast(orbits, tf.float32)[:, :5])}


class OtherInput(TinyClassifier):
    """Asks for seven columns."""

    @tf.function(input_signature=[tf.TensorSpec([None, 7], tf.float64, name="orbits")])
    def classify(self, orbits):
        return TinyClassifier.classify.python_function(self, orbits[:, :6])


class Wordless(TinyClassifier):
    """Says nothing of itself."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="rows")])
    def describe(self, rows):
        return {"nothing": rows}


def export(folder, offset=1.0, variant="float32", warm_up=(), kind=TinyClassifier):
    """Write a complete version folder as the exporter does: beside, then renamed."""
    beside = folder.with_name(f".{folder.name}.partial")
    model = kind(offset, variant)
    signatures = {"serving_default": model.classify, "describe": model.describe, "count": model.count}
    tf.saved_model.save(model, str(beside), signatures=signatures)
    if warm_up:
        write_warm_up(beside, warm_up)
    write_checksums(beside)
    beside.rename(folder)
    return folder


def write_warm_up(folder, requests):
    (folder / "assets.extra").mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for request in requests:
            entry = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(entry.SerializeToString())


def write_checksums(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def probability(orbits, offset=1.0):
    """What TinyClassifier answers, from numpy."""
    return 1 / (1 + np.exp(np.asarray(orbits, np.float32).sum(axis=1) - np.float32(offset)))


def predict_request(orbits, model=MODEL, signature="", version=None, label=None):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    if orbits is not None:
        request.inputs["orbits"].CopyFrom(tf.make_tensor_proto(np.asarray(orbits, np.float64)))
    return request


def model_config(name=MODEL, policy="latest { num_versions: 1 }", extra="", base_path=None):
    return (
        f'config {{ name: "{name}" base_path: "{base_path or f"/models/{name}"}" model_platform: "tensorflow" '
        f"model_version_policy {{ {policy} }} {extra} }}"
    )


def server_config(*models):
    return "model_config_list { " + " ".join(models) + " }"


class Client:
    """Stubs of a running server."""

    def __init__(self, server):
        self.server = server
        self.channel = grpc.insecure_channel(
            server.address, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, *args, **kwargs):
        return self.prediction.Predict(predict_request(*args, **kwargs), timeout=WAIT_S)

    def states(self, name=MODEL):
        """State name by version; empty when nothing is known."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        try:
            reply = self.model.GetModelStatus(request, timeout=WAIT_S)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
            return {}
        names = get_model_status_pb2.ModelVersionStatus.State
        return {entry.version: names.Name(entry.state) for entry in reply.model_version_status}

    def wait_for(self, states, name=MODEL):
        """Wait until GetModelStatus says exactly this."""
        until = time.monotonic() + WAIT_S
        while (seen := self.states(name)) != states:
            assert time.monotonic() < until, f"{seen} instead of {states}"
            time.sleep(0.02)


@contextlib.contextmanager
def serving(root: Path, config: str, address: str = "127.0.0.1:0", **flags):
    """A server on free ports over the store root/models and the config file root/models.config."""
    (root / "models.config").write_text(config)
    options = ModelServerSettings(
        address=address,
        status_address="127.0.0.1:0",
        model_config_file=root / "models.config",
        model_store=root / "models",
    )
    quick = Flags(**{"file_system_poll_wait_s": 0.05, "model_config_poll_wait_s": 0.05, **flags})
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    started = threading.Event()
    outcome = []

    async def live():
        async with running(options, quick) as server:
            outcome.append(server)
            started.set()
            await stop.wait()

    def work():
        try:
            loop.run_until_complete(live())
        except Exception as error:  # noqa: BLE001  # raised again below, in the thread of the test
            outcome.append(error)
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    if isinstance(outcome[-1], Exception):
        thread.join()
        raise outcome[-1]
    client = Client(outcome[0])
    try:
        yield client
    finally:
        client.channel.close()
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        if isinstance(outcome[-1], Exception):
            raise outcome[-1]


def refused(call, code, message):
    """Assert that a call is refused with this code and a message that holds this text."""
    try:
        reply = call()
    except grpc.RpcError as error:
        assert (error.code(), message in error.details()) == (code, True), error
        return
    raise AssertionError(f"not refused: {reply}")
