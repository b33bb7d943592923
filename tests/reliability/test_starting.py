# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a pod from starting is one line that names the setting, and no pod of a system starts in vain."""

import contextlib
import json
import os
import pty
import socket
import subprocess
import sys

import pytest

from gateway import up
from gateway.__main__ import _COMMANDS
from gateway.configuration.registry import MODULES
from gateway.serving.environment import InvalidSettings
from gateway.serving.listening import CannotListen
from gateway.serving.starting import CannotStart
from gateway.up.command import what_to_try
from gateway.up.plan import NoModels, make_plan
from tests.pods import PROJECT_ROOT, free_settings


@pytest.fixture
def taken():
    """An address on which another program listens."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield "{}:{}".format(*listening.getsockname())


def start(tmp_path, *command, **settings):
    """The error that a command logs as its only line, after it has ended with 1."""
    _, environment = free_settings(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", *command],
        env={**os.environ, **environment, **settings},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("front", "ORRERY_FRONT_ADDRESS"),
        ("front", "ORRERY_FRONT_METRICS_ADDRESS"),
        ("front", "ORRERY_FRONT_HEALTH_ADDRESS"),
        ("front", "ORRERY_FRONT_ADMIN_ADDRESS"),
        ("anomaly", "ORRERY_ANOMALY_ADDRESS"),
        ("simulation", "ORRERY_SIMULATION_ADDRESS"),
        ("feedback", "ORRERY_FEEDBACK_METRICS_ADDRESS"),
        ("model-server", "ORRERY_MODEL_SERVER_ADDRESS"),
        ("model-server", "ORRERY_MODEL_SERVER_STATUS_ADDRESS"),
        ("edge", "ORRERY_EDGE_ADDRESS"),
        ("edge", "ORRERY_EDGE_METRICS_ADDRESS"),
        ("deliver --follow", "ORRERY_DELIVERY_METRICS_ADDRESS"),
    ],
)
def test_a_pod_names_the_address_that_is_taken(tmp_path, taken, command, setting):
    delivery = {"ORRERY_DELIVERY_SOURCE": str(tmp_path), "ORRERY_DELIVERY_MODELS": "neo_anomaly"}
    line = json.loads(start(tmp_path, *command.split(), **delivery, **{setting: taken}))
    pod = command.split()[0]
    assert line["error"] == f"{taken} is taken: {pod} cannot listen there; set {setting} to move it"
    assert (line["pod"], line["event"], line["level"]) == (pod, "cannot start", "error")


def test_a_pod_names_the_file_that_is_missing(tmp_path):
    settings = {"ORRERY_FRONT_CALLERS_FILE": "/nowhere/callers"}
    line = json.loads(start(tmp_path, "front", **settings))
    assert line["error"] == "ORRERY_FRONT_CALLERS_FILE names /nowhere/callers: No such file or directory"


def test_a_pod_names_the_setting_that_is_wrong(tmp_path):
    line = json.loads(start(tmp_path, "anomaly", ORRERY_ANOMALY_GRACE_S="-1"))
    assert line["error"] == "ORRERY_ANOMALY_GRACE_S is '-1'; it must be a number, at least 0"


def test_a_pod_whose_secrets_make_no_sense_says_so_without_them(tmp_path):
    line = start(tmp_path, "front", ORRERY_FRONT_CALLERS="alice reader topsecret")
    assert "line 1" in json.loads(line)["error"]
    assert "topsecret" not in line


@pytest.mark.parametrize("command", ["front", "up"])
def test_a_misspelt_setting_that_protects_stops_the_start(tmp_path, command):
    line = start(tmp_path, command, ORRERY_FRONT_CALLER_FILE="/etc/orrery/callers")
    cause = "ORRERY_FRONT_CALLER_FILE is not a setting; the nearest one is ORRERY_FRONT_CALLERS_FILE"
    assert (line if command == "up" else json.loads(line)["error"]) == cause


def test_on_a_terminal_the_line_is_plain(tmp_path, taken):
    ours, theirs = pty.openpty()
    _, environment = free_settings(tmp_path)
    environment["ORRERY_FRONT_ADDRESS"] = taken
    command = [sys.executable, "-m", "gateway", "front"]
    ended = subprocess.run(
        command, env={**os.environ, **environment}, cwd=PROJECT_ROOT, stderr=theirs, check=False, timeout=60
    )
    os.close(theirs)
    printed = os.read(ours, 4096).decode().splitlines()
    os.close(ours)
    assert ended.returncode == 1
    assert printed == [
        f"front cannot start: {taken} is taken: front cannot listen there; set ORRERY_FRONT_ADDRESS to move it"
    ]


def test_a_second_system_is_refused_in_one_line(tmp_path, taken):
    line = start(tmp_path, "up", ORRERY_ANOMALY_ADDRESS=taken)
    assert line == f"{taken} is taken: anomaly cannot listen there; set ORRERY_ANOMALY_ADDRESS to move it"


def test_a_system_that_is_refused_touches_no_log(tmp_path, taken):
    (tmp_path / "front.log").write_text("of the first system")
    _, environment = free_settings(tmp_path)
    environment |= {"ORRERY_FRONT_ADDRESS": taken, "ORRERY_EDGE_METRICS_ADDRESS": taken}
    # The second is counted: the front's own is the one that users know.
    reason = f"^{taken} is taken: front .*; 1 more address is not free$"
    with pytest.raises(CannotListen, match=reason), up.running_pods(tmp_path, environment):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["front.log"]
    assert (tmp_path / "front.log").read_text() == "of the first system"


def test_two_pods_at_one_address_are_refused(tmp_path):
    _, environment = free_settings(tmp_path)
    environment["ORRERY_FEEDBACK_ADDRESS"] = environment["ORRERY_FRONT_ADDRESS"]
    with pytest.raises(CannotListen, match="feedback cannot listen there; set ORRERY_FEEDBACK_ADDRESS"):
        make_plan({**os.environ, **environment})


def test_a_system_with_a_wrong_setting_is_refused(tmp_path):
    _, environment = free_settings(tmp_path)
    environment["ORRERY_FRONT_ADDRESS"] = "nonsense"
    with pytest.raises(InvalidSettings, match=r"^ORRERY_FRONT_ADDRESS: 'nonsense' is not host:port$"):
        make_plan({**os.environ, **environment})


def test_a_system_without_models_is_refused(tmp_path):
    _, environment = free_settings(tmp_path)
    (tmp_path / "neo_anomaly" / "1").mkdir(parents=True)
    environment["ORRERY_MODEL_STORE"] = str(tmp_path)
    with pytest.raises(NoModels, match=f"^no neo_classifier in {tmp_path}: `make models`"):
        make_plan({**os.environ, **environment})


def test_a_pod_that_cannot_start_is_named_with_its_reason(tmp_path):
    _, environment = free_settings(tmp_path)
    environment["ORRERY_FRONT_CALLERS"] = "nonsense"
    with (
        pytest.raises(CannotStart, match=r"^front stopped with code 1: .*line 1"),
        up.running_pods(tmp_path, environment),
    ):
        pass


def test_help_is_there_for_every_command_and_starts_nothing(tmp_path, taken):
    """All at once, with settings that none could start with."""
    commands = [
        [],
        *([name] for name in _COMMANDS),
        ["edge", "render"],
        ["feedback", "extract"],
        ["feedback", "restore"],
    ]
    _, environment = free_settings(tmp_path)
    unusable = {"ORRERY_FRONT_CALLER_FILE": "misspelt"} | {name: taken for name in environment if "ADDRESS" in name}
    asked = [
        subprocess.Popen(
            [sys.executable, "-m", "gateway", *command, "--help"],
            env={**os.environ, **environment, **unusable},
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    for command, process in zip(commands, asked, strict=True):
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
        shown = " ".join(printed.split())
        assert shown.startswith(" ".join(["usage: python -m gateway", *command]))
        assert "Settings are environment variables" in shown
        assert "`python -m gateway settings" in shown
        if command and command[0] in MODULES:
            prefix = "ORRERY_DELIVERY_" if command == ["deliver"] else f"ORRERY_{command[0].upper().replace('-', '_')}_"
            assert f"{prefix}…" in shown


def test_an_argument_that_a_pod_does_not_know_starts_nothing(tmp_path):
    _, environment = free_settings(tmp_path)
    for command in (["front", "--helo"], ["nothing"], ["up", "true"], ["deliver", "--folow"]):
        ended = subprocess.run(
            [sys.executable, "-m", "gateway", *command],
            env={**os.environ, **environment},
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("usage: python -m gateway")


def test_what_to_try_names_the_addresses_that_were_set(tmp_path):
    addresses, environment = free_settings(tmp_path)
    lines = "\n".join(what_to_try(make_plan({**os.environ, **environment})))
    assert f"client/examples/ask.py {addresses['front']}\n" in lines
    assert f"curl http://{addresses['edge']}/api/predict" in lines
    assert f"http://{addresses['edge']}/api/docs/" in lines
