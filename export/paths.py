# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the export keeps what it writes: settings with defaults inside the project, all git-ignored."""

import os
from pathlib import Path
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]


def _from_setting(name: str, default: str) -> Path:
    path = Path(os.environ.get(name) or default)
    return path if path.is_absolute() else PROJECT_ROOT / path


def model_store() -> Path:
    """The folder of published models: `ORRERY_MODEL_STORE`, default `var/models` below the project."""
    return _from_setting("ORRERY_MODEL_STORE", "var/models")


def catalogue_cache() -> Path:
    """The folder of cached catalogues: `ORRERY_CATALOGUE_CACHE`, default `var/catalogue`."""
    return _from_setting("ORRERY_CATALOGUE_CACHE", "var/catalogue")


def kernels() -> Path:
    """The folder of kernels made here, where the gateway looks for them: `var/kernels` below the project."""
    return PROJECT_ROOT / "var" / "kernels"


def drift() -> Path:
    """The folder of the report of drift: `var/drift` below the project."""
    return PROJECT_ROOT / "var" / "drift"


def dataset() -> Path:
    """The folder of data-set files: `var/dataset` below the project."""
    return PROJECT_ROOT / "var" / "dataset"
