# SPDX-License-Identifier: GPL-3.0-or-later
"""`make setup` on a machine that lacks something: a sentence that says what to do, and nothing downloaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[2]
NEEDED = (
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "client/pyproject.toml",
    "gateway/neo/_moid.pyx",
    "gateway/anomaly/_shap.pyx",
)


@pytest.fixture
def clone(tmp_path):
    """As much of a fresh clone as `make setup` looks at before it installs; the path has no uv."""
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT_ROOT / name, tmp_path / name)
    tools = tmp_path / "path"
    tools.mkdir()
    for name in ("sh", "make", "awk", "sed", "head", "cc", "as", "test", "touch", "rm", "mkdir"):
        if (found := shutil.which(name)) is not None:
            (tools / name).symlink_to(found)
    return tmp_path


def set_up(clone, *arguments, **environment):
    """The exit code and all output of `make setup`."""
    done = subprocess.run(
        [str(clone / "path" / "make"), "setup", *arguments],
        cwd=clone,
        env={"PATH": str(clone / "path"), "HOME": str(clone), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout


def imitation(clone, code):
    """A Python that runs some code before what it is asked to."""
    path = clone / "path" / "python-imitation"
    path.write_text(f'#!/bin/sh\n[ "$1" != -c ] || set -- -c "{code}\n$2"\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_no_python(clone):
    code, output = set_up(clone, "PYTHON=no-python-of-this-name")
    assert code != 0
    assert "Python 3.11, 3.12 or 3.13 is needed; no-python-of-this-name is not here." in output
    assert not (clone / ".tools").exists()


def test_a_python_that_is_too_old(clone):
    code, output = set_up(clone, imitation(clone, "import sys; sys.version_info = (3, 9, 2)"))
    assert code != 0
    assert "Python 3.11, 3.12 or 3.13 is needed" in output
    assert "make PYTHON=" in output


def test_a_python_without_headers(clone):
    code, output = set_up(clone, imitation(clone, "import sysconfig; sysconfig.get_path = lambda _: '/nowhere'"))
    assert code != 0
    assert "has no headers (Python.h): apt-get install python3-dev" in output


def test_no_compiler(clone):
    code, output = set_up(clone, imitation(clone, ""), CC="no-compiler-of-this-name")
    if "no headers" in output:
        pytest.skip("this Python has no headers: apt-get install python3-dev")
    assert code != 0
    assert "No C compiler (no-compiler-of-this-name)" in output


def test_a_full_disk(clone):
    full = "import shutil, types; shutil.disk_usage = lambda _: types.SimpleNamespace(free=1e9)"
    code, output = set_up(clone, imitation(clone, full))
    if "no headers" in output:
        pytest.skip("this Python has no headers: apt-get install python3-dev")
    assert code != 0
    assert "Less than 5 GB are free here" in output


def test_no_package_index(clone):
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    code, output = set_up(clone, imitation(clone, ""), **nowhere)
    if "no headers" in output:
        pytest.skip("this Python has no headers: apt-get install python3-dev")
    assert code != 0
    assert "uv could not be installed; the reason is above." in output
    assert not (clone / ".venv").exists()
