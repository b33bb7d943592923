# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded stand-in for TensorFlow Serving, for laptops and tests.

It reads the same models.config, loads the same SavedModels and speaks the same protocol as `tensorflow_model_server`,
through the stubs of tensorflow-serving-api. Production runs the real one; serving_config/README.md lists where the two
differ.
"""

import logging
import os


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    # Read by TensorFlow when it is imported: no banner, and no search for a GPU that would not be used.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    # TensorFlow advises against the very session that its model server uses.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Imported here because it brings in TensorFlow (600 MB), which must find the variables above set.
    from gateway.model_server.app import run  # noqa: PLC0415
    from gateway.model_server.settings import ModelServerSettings  # noqa: PLC0415

    run(ModelServerSettings())
