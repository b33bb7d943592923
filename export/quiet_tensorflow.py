# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to tensorflow: on Keras 2, without a GPU, and quiet.

Tensorflow's libraries write to the process's standard error while they are loaded, before any setting of theirs is
read; that is held back, and shown only if loading fails.
"""

import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keras", "predict_pb2", "prediction_log_pb2", "tf", "tfmot"]


@contextmanager
def _held_back() -> Iterator[None]:
    """Keep what is written to file descriptor 2 aside; show it if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            with os.fdopen(os.dup(kept), "wb") as terminal:
                shutil.copyfileobj(aside, terminal)
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


# tensorflow-model-optimization works on Keras 2 only (its issue 1119).
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

with _held_back(), warnings.catch_warnings():
    # tensorflow-model-optimization 0.8.1 compares versions with distutils.
    warnings.filterwarnings("ignore", message="distutils Version classes are deprecated", category=DeprecationWarning)
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

# Its warnings speak of retracing, which every new model means here, and of weights that are given on purpose.
tf.get_logger().setLevel(logging.ERROR)
logging.getLogger("absl").setLevel(logging.ERROR)
