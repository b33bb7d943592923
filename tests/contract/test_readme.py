# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README shows is what happens."""

import re
import subprocess
import sys

import pytest

from tests.pods import PROJECT_ROOT

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(stack, *command, pod="front"):
    shown = subprocess.run([sys.executable, *command, stack[pod]], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_the_demo_prints_what_the_readme_shows(stack):
    printed = run(stack, "client/examples/ask.py") + run(stack, "client/examples/ask_rest.py", pod="edge")
    shown, _, last_words = blocks("text")[0].rpartition("\nall pods")
    assert last_words == " have drained and stopped\n"
    # Physics is the same everywhere; a freshly trained network's third digit is not.
    encounter = shown[shown.index("What if (99942)") :]
    assert len(encounter.splitlines()) > 8
    for line in encounter.splitlines():
        assert line in printed
    for line in shown.splitlines():
        if line.endswith(("?", "Earth MOID au")):
            assert line in printed


def test_the_python_example_works(stack, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(blocks("python")[0].replace('"127.0.0.1:50051"', "__import__('sys').argv[1]"), encoding="utf-8")
    moid, feature = run(stack, str(script)).split()
    assert float(moid) == pytest.approx(0.148623, abs=1e-6)
    assert feature == "absolute_magnitude_h"


def test_every_target_the_readme_names_exists():
    listed = subprocess.run(["make", "help"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607  # make is on the path
    for target in set(re.findall(r"`make ([a-z-]+)`", README)):
        assert f"make {target} " in listed or target == "help"
