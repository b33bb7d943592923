# SPDX-License-Identifier: GPL-3.0-or-later
"""What every candidate must have whatever its kind: files as summed, a manifest with its keys, finite metrics."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from export.publishing.publish import MANIFEST_FILE, IntegrityError, RefusedError, verify

REQUIRED_KEYS: Final = {
    "name": str,
    "version": int,
    "variant": str,
    "created_utc": str,
    "training_data": dict,
    "metrics": dict,
    "libraries": dict,
    "columns": list,
}
TRAINING_DATA_KEYS: Final = ("kind", "source", "date", "rows", "sha256", "description")


def check_sums(folder: Path) -> None:
    """Every file is there and is what `SHA256SUMS` says: what was half copied is not.

    Raises:
        RefusedError: names every file that is missing, changed or not listed.
    """
    try:
        verify(folder)
    except IntegrityError as error:
        raise RefusedError(f"the folder is not whole: {'; '.join(error.problems)}") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a candidate, all keys on one level.

    Raises:
        RefusedError: it is missing, is no JSON object, lacks a key, or has one of another type or not finite.
    """
    try:
        content = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedError(f"{MANIFEST_FILE} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(f"{MANIFEST_FILE} is no JSON object")
    missing = sorted(REQUIRED_KEYS.keys() - content.keys())
    if missing:
        raise RefusedError(f"{MANIFEST_FILE} lacks {', '.join(missing)}")
    for key, kind in REQUIRED_KEYS.items():
        if not isinstance(content[key], kind):
            raise RefusedError(f"{MANIFEST_FILE}: {key} is no {kind.__name__}")
    lacking = [key for key in TRAINING_DATA_KEYS if key not in content["training_data"]]
    if lacking:
        raise RefusedError(f"{MANIFEST_FILE}: training_data lacks {', '.join(lacking)}")
    for name, value in numbers(content["metrics"]):
        if not math.isfinite(value):
            raise RefusedError(f"{MANIFEST_FILE}: metric {name} is {value}")
    return content


def numbers(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of nested mappings with its dotted name, in the order of the names; lists are left out."""
    for key in sorted(tree):
        value = tree[key]
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
