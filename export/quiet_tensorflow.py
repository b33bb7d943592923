# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to tensorflow: on Keras 2, without a GPU, and quiet."""

import logging
import os
import warnings

from gateway.quiet_loading import stderr_held_back

__all__ = ["keras", "predict_pb2", "prediction_log_pb2", "tf", "tfmot"]


# tensorflow-model-optimization works on Keras 2 only (its issue 1119).
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

with stderr_held_back(), warnings.catch_warnings():
    # tensorflow-model-optimization 0.8.1 compares versions with distutils.
    warnings.filterwarnings("ignore", message="distutils Version classes are deprecated", category=DeprecationWarning)
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

# Its warnings speak of retracing, which every new model means here, and of weights that are given on purpose.
tf.get_logger().setLevel(logging.ERROR)
logging.getLogger("absl").setLevel(logging.ERROR)
