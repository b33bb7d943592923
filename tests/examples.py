# SPDX-License-Identifier: GPL-3.0-or-later
"""Building the examples in other languages for tests."""

import subprocess

import pytest

from tests.pods import PROJECT_ROOT


def built(example):
    """The file that make builds for an example, or a skip that says what to install."""
    if missing := example.missing():
        pytest.skip(missing)
    command = ["make", example.target]
    made = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return PROJECT_ROOT / example.target
