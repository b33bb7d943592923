# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway model-server`."""

import logging
import os

from gateway.model_server.settings import ModelServerSettings
from gateway.quiet_loading import stderr_held_back
from gateway.serving.listening import require_free


def main() -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CannotStart: why not.
    """
    settings = ModelServerSettings()
    # Here already: it takes TensorFlow many seconds to be loaded.
    settings.require_files()
    require_free({"model-server": settings})
    # Read by TensorFlow when it is imported: no warnings, and no search for a GPU that would not be used.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    # TensorFlow advises against the very session that its model server uses.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with stderr_held_back():
        # It brings in TensorFlow (600 MB), which must find the variables above set.
        from gateway.model_server.app import run  # noqa: PLC0415

    run(settings)
