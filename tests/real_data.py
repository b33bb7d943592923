# SPDX-License-Identifier: GPL-3.0-or-later
"""Real catalogues: the sample that lies in the clone, and the full ones that ORRERY_SHARED names."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[1]
SAMPLE = PROJECT_ROOT / "tests" / "testdata"


@dataclass(frozen=True)
class RealData:
    """Attributes:
    folder: with `data/`.
    is_full: whether it holds all rows, or those of the sample.
    """

    folder: Path
    is_full: bool

    def file(self, name):
        return self.folder / "data" / name

    def expected(self, *, sample, full):
        """What differs between the two, such as the number of rows."""
        return full if self.is_full else sample


def full_folder():
    """The folder of the full catalogues, or a skip that says how to have one."""
    path = (PROJECT_ROOT / os.environ.get("ORRERY_SHARED", "../shared")).resolve()
    if not (path / "data").is_dir():
        pytest.skip(f"no full catalogues at {path}: set ORRERY_SHARED to a folder with data/")
    return path


def encounters():
    """Real encounters with what is known of them, by name."""
    entries = json.loads((SAMPLE / "cases" / "encounters.json").read_text(encoding="utf-8"))
    return {entry["id"]: entry for entry in entries}
