# SPDX-License-Identifier: GPL-3.0-or-later
"""The same tour of the contract in Python, Go and TypeScript, against the whole system: all say the same."""

import re
import subprocess
import sys

import pytest

from client.examples import build
from tests.examples import built
from tests.pods import PROJECT_ROOT

EXAMPLES = PROJECT_ROOT / "client" / "examples"
NAMED = str(EXAMPLES / "named_orbits.json")


def run(*command):
    shown = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


@pytest.fixture(scope="module")
def in_python(stack):
    return run(sys.executable, EXAMPLES / "tour.py", stack["front"])


def test_missing_tools_are_named_and_are_no_failure(tmp_path):
    command = [sys.executable, str(EXAMPLES / "build.py")]
    ended = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    go, typescript, browser = ended.stdout.splitlines()
    assert go.startswith("go: not built, no go, protoc-gen-go-grpc")
    assert "apt-get install golang-go " in go
    node = "not built, no node, npm: install Node (Debian: apt-get install nodejs npm; macOS: brew install node)"
    assert (typescript, browser) == (f"typescript: {node}", f"browser: {node}")


def test_a_build_that_fails_is_a_failure_and_the_next_is_tried(monkeypatch, tmp_path, capsys):
    broken = build.Example("build/examples/no-such-example", (), "")
    absent = build.Example("build/examples/nothing", (str(tmp_path / "tool"),), "a tool")
    monkeypatch.setattr(build, "EXAMPLES", {"broken": broken, "absent": absent})
    with pytest.raises(SystemExit) as ended:
        build.main([])
    assert ended.value.code == "failed to build: broken"
    assert capsys.readouterr().out == f"absent: not built, no {tmp_path / 'tool'}: install a tool\n"


def test_the_tour_in_python_says_what_is_known(in_python):
    lines = in_python.splitlines()
    assert lines[0].startswith("(99942) Apophis: ORBIT_CLASS_ATEN, Earth MOID 0.000361 au, P(PHA) ")
    assert re.fullmatch(r"\(99942\) Apophis passes BODY_EARTH at 380\d\d km", lines[-2])
    assert lines[-1] == "INVALID_ARGUMENT INVALID_FIELD objects[0].elements.eccentricity"
    assert len(lines) == 8


def test_the_moon_and_2024_yr4(stack):
    """JPL had about 4 % from other solutions; pushes grow as the time before the encounter shrinks."""
    said = run(sys.executable, EXAMPLES / "impact.py", stack["front"])
    assert re.search(r"^2024 YR4 hits something with 3\.[89]\d% \(.*, IMPACT_METHOD_LINEAR\)$", said, re.MULTILINE)
    assert re.search(r"^  BODY_MOON TDB JD 2463589\.14: 3\.[89]\d%", said, re.MULTILINE)
    pushes = [float(push) for push in re.findall(r"^  (\S+) mm/s along its motion", said, re.MULTILINE)]
    assert len(pushes) == 3
    assert pushes == sorted(pushes, reverse=True)
    assert pushes[-1] < 100.0


@pytest.mark.long("Go: make examples names the packages")
def test_the_tour_in_go_says_the_same(stack, in_python):
    tool = built(build.EXAMPLES["go"])
    assert run(tool, NAMED, stack["front"]) == in_python


@pytest.mark.long("Node: apt-get install nodejs npm")
def test_the_tour_in_typescript_says_the_same(stack, in_python):
    tool = built(build.EXAMPLES["typescript"])
    assert run("node", tool, NAMED, stack["front"]) == in_python
