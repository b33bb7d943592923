# SPDX-License-Identifier: GPL-3.0-or-later
"""The version published before, asked as it is served."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.publishing import publish
from export.quiet_tensorflow import tf


def previous_version(store: Path, name: str, version: int) -> int | None:
    """The newest published version older than one; None where there is none."""
    older = [number for number in publish.versions(store, name) if number < version]
    return older[-1] if older else None


def probabilities(folder: Path, columns: NDArray[np.float64]) -> tuple[NDArray[np.floating[Any]], float]:
    """The hazard probabilities that a published classifier gives, shape (N,), and its threshold.

    Args:
        folder: of the version.
        columns: of `MODEL_COLUMNS`, shape (N, 6).

    Raises:
        export.publishing.publish.IntegrityError: the folder is not what was published.
    """
    publish.verify(folder)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    threshold = float(json.loads((folder / publish.MANIFEST_FILE).read_text(encoding="utf-8"))["threshold"])
    return signature(orbits=tf.constant(columns, tf.float64))["pha_probability"].numpy(), threshold
