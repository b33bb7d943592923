# SPDX-License-Identifier: GPL-3.0-or-later
"""The network as a TensorFlow Lite file, for comparison.

The file holds what comes after the features. Those need float64 and the inverse hyperbolic sine, for which TensorFlow
Lite has no kernel of its own; so it cannot answer our signature of raw elements, and is no candidate for serving.
"""

import enum
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.classifier.compress import hidden_names
from export.classifier.features import network_features
from export.classifier.training import CLASS_HEAD, HAZARD_HEAD, Network
from export.quiet_tensorflow import tf

Floats = NDArray[np.float32]


class Form(enum.StrEnum):
    """How the file stores weights; int8 has int8 activations too."""

    FP16 = "tflite-fp16"
    INT8 = "tflite-int8"


def convert(network: Network, form: Form, calibration: Floats) -> bytes:
    """The file.

    Args:
        network: what to convert.
        form: how to store it.
        calibration: standardised features (N, F) of training rows, to measure the activations by; for int8.
    """

    def body(standardised: tf.Tensor) -> dict[str, tf.Tensor]:
        flow = standardised
        for name in hidden_names(network.layers):
            kernel, bias = network.layers[name]
            flow = tf.nn.relu(tf.matmul(flow, kernel) + bias)
        return {
            name: tf.matmul(flow, network.layers[name][0]) + network.layers[name][1]
            for name in (HAZARD_HEAD, CLASS_HEAD)
        }

    module = tf.Module()
    shape = tf.TensorSpec([None, len(network.mean)], tf.float32, name="standardised")
    module.body = tf.function(body, input_signature=[shape])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.body.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form is Form.FP16:
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.representative_dataset = lambda: ([row[None, :]] for row in calibration)
    content: bytes = converter.convert()
    return content


class TfLiteClassifier:
    """A file behind the features, run by the interpreter on one thread."""

    def __init__(self, content: bytes, network: Network) -> None:
        with warnings.catch_warnings():
            # It is to move to another package, which the lock does not hold.
            warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated", category=UserWarning)
            self._runner = tf.lite.Interpreter(model_content=content, num_threads=1).get_signature_runner()
        spec = tf.TensorSpec([None, 6], tf.float64)
        self._features = tf.function(
            lambda orbits: (network_features(orbits) - network.mean) / network.scale, input_signature=[spec]
        )

    def logits(self, standardised: Floats) -> dict[str, Floats]:
        """Logits by head for standardised features (N, F)."""
        found: dict[str, Floats] = self._runner(standardised=standardised)
        return found

    def predict(self, orbits: Any) -> dict[str, Any]:
        """`pha_probability` (N,) and `class_probabilities` (N, C) for raw orbits (N, 6)."""
        logits = self.logits(self._features(orbits).numpy())
        return {
            "pha_probability": tf.sigmoid(logits[HAZARD_HEAD])[:, 0],
            "class_probabilities": tf.nn.softmax(logits[CLASS_HEAD]),
        }
