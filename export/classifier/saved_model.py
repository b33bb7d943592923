# SPDX-License-Identifier: GPL-3.0-or-later
"""The SavedModel that TensorFlow Serving loads: raw elements in, answers out, and a signature that says what it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.classifier.compress import INT8_LIMIT, PackedLayer, hidden_names
from export.classifier.features import network_features
from export.classifier.training import CLASS_HEAD, HAZARD_HEAD, Network
from export.data.cleaning import MODEL_COLUMNS
from export.quiet_tensorflow import predict_pb2, prediction_log_pb2, tf

ORBITS_INPUT: Final = "orbits"
ROWS_INPUT: Final = "rows"
WARMUP_BATCHES: Final = (1, 32, 1024)
WARMUP_FILE: Final = Path("assets.extra") / "tf_serving_warmup_requests"

# A well-known orbit to warm up with: (99942) Apophis, JPL solution 220, rounded.
_WARMUP_ORBIT: Final = (0.7460, 0.1911, 3.339, 204.0, 126.6, 19.1)


class NeoClassifier(tf.Module):  # type: ignore[misc]  # tensorflow has no types
    """The packed network behind its two signatures."""

    def __init__(
        self,
        network: Network,
        layers: Mapping[str, PackedLayer],
        threshold: float,
        variant: str,
        training_data: str,
        drift_reference: str = "",
    ) -> None:
        """Take the weights.

        Args:
            network: for the standardisation of its features.
            layers: the weights as stored.
            threshold: hazard probability from which an object counts as potentially hazardous.
            variant: how the weights are stored, for `describe`.
            training_data: what it learnt from, for `describe`.
            drift_reference: JSON of a `gateway.drift.Reference`, for the signature of that name.
        """
        super().__init__(name="neo_classifier")
        self._layers = dict(layers)
        self._mean, self._scale = network.mean, network.scale
        self._threshold = threshold
        self._variant, self._training_data = variant, training_data
        self._drift_reference = drift_reference

    def _dense(self, name: str, inputs: tf.Tensor) -> tf.Tensor:
        layer = self._layers[name]
        if layer.input_step is not None:
            steps = tf.clip_by_value(tf.round(inputs / layer.input_step), -INT8_LIMIT, INT8_LIMIT)
            product = tf.matmul(tf.cast(steps, tf.int8), tf.constant(layer.kernel), output_type=tf.int32)
            return tf.cast(product, tf.float32) * layer.channel_scale + layer.bias
        kernel = tf.cast(tf.constant(layer.kernel), tf.float32)
        if layer.channel_scale is not None:
            kernel *= layer.channel_scale
        return tf.matmul(inputs, kernel) + layer.bias

    @tf.function(input_signature=[tf.TensorSpec([None, len(MODEL_COLUMNS)], tf.float64, name=ORBITS_INPUT)])  # type: ignore[untyped-decorator]  # tensorflow has no types
    def predict(self, orbits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for raw orbits of shape (N, 6), columns of `MODEL_COLUMNS`."""
        flow = (network_features(orbits) - self._mean) / self._scale
        for name in hidden_names(self._layers):
            flow = tf.nn.relu(self._dense(name, flow))
        probability = tf.sigmoid(self._dense(HAZARD_HEAD, flow))[:, 0]
        return {
            "pha_probability": probability,
            "potentially_hazardous": probability >= self._threshold,
            "class_probabilities": tf.nn.softmax(self._dense(CLASS_HEAD, flow)),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name=ROWS_INPUT)])  # type: ignore[untyped-decorator]  # tensorflow has no types
    def describe(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """The variant and the training data, once a row."""
        shape = tf.shape(rows)
        return {
            "variant": tf.fill(shape, self._variant),
            "training_data": tf.fill(shape, self._training_data),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name=ROWS_INPUT)])  # type: ignore[untyped-decorator]  # tensorflow has no types
    def drift_reference(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """How what it learnt from was distributed, once a row."""
        return {"drift_reference": tf.fill(tf.shape(rows), self._drift_reference)}


def predict_columns(model: NeoClassifier, columns: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """The answers of a model in memory as arrays."""
    return {name: value.numpy() for name, value in model.predict(tf.constant(columns)).items()}


def warmup_log(name: str, rows: int, signature: str) -> prediction_log_pb2.PredictionLog:
    """One warm-up record: a request of so many rows to a signature."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if signature == "describe":
        request.inputs[ROWS_INPUT].CopyFrom(tf.make_tensor_proto(np.arange(rows, dtype=np.int32)))
    else:
        orbits = np.tile(np.asarray(_WARMUP_ORBIT, np.float64), (rows, 1))
        request.inputs[ORBITS_INPUT].CopyFrom(tf.make_tensor_proto(orbits))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def save(model: NeoClassifier, name: str, folder: Path) -> None:
    """Write the SavedModel and its warm-up records (TensorFlow Serving, "SavedModel Warmup") into a folder."""
    warmed = {"serving_default": model.predict, "describe": model.describe}
    signatures = {**warmed, "drift_reference": model.drift_reference}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    warmup = folder / WARMUP_FILE
    warmup.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(warmup)) as writer:
        for signature in warmed:
            for rows in WARMUP_BATCHES:
                writer.write(warmup_log(name, rows, signature).SerializeToString())
