# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests run in one process, when several work side by side.

The ways of pytest-xdist 3.8 do not fit: `loadfile` knows no files that belong together, `loadgroup` does not work with
pytest 9.2.
"""

import functools
import re
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

PROJECT_ROOT = Path(__file__).resolve().parents[1]
# Each costs as much as a hundred tests: the six pods with TensorFlow, and two trained models.
EXPENSIVE = ("stack", "tiny_models")


@functools.cache
def group_of(file):
    """The expensive fixture that a file's functions ask for, or the file."""
    text = (PROJECT_ROOT / file).read_text(encoding="utf-8")
    asked = (name for name in EXPENSIVE if re.search(rf"(def \w+|usefixtures)\([^)]*\b{name}\b", text))
    return next(asked, file)


def pytest_collection_modifyitems(items):
    """Begins with the largest groups, so that nobody has to wait for them at the end."""
    items.sort(key=lambda item: group_of(item.nodeid.partition("::")[0]) not in EXPENSIVE)


class OneProcess(LoadScopeScheduling):
    """Gives a group of tests to one process."""

    def _split_scope(self, nodeid):
        return group_of(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return OneProcess(config, log) if config.getvalue("dist") == "loadscope" else None
