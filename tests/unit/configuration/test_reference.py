# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of settings: complete, readable, without secrets, and what docs/settings.md shows."""

import os
import subprocess
import sys
from argparse import ArgumentParser

import pytest

from gateway.configuration import command
from gateway.configuration.command import describe
from gateway.configuration.markdown import render
from gateway.configuration.reference import sections
from gateway.configuration.registry import OTHERS, known_variables
from tests.pods import PROJECT_ROOT

ENTRIES = {entry.variable: entry for entries in sections().values() for entry in entries}


def listed(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["settings", *arguments])
    command.main(ArgumentParser())
    return capsys.readouterr().out


def test_the_document_is_what_the_classes_say():
    written = (PROJECT_ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == render(), "docs/settings.md is stale: make protos"


def test_a_reader_that_has_seen_enough_ends_the_list():
    closed, output = os.pipe()
    os.close(closed)
    with os.fdopen(output, "wb") as stdout:
        command = [sys.executable, "-m", "gateway", "settings"]
        ended = subprocess.run(command, check=False, stdout=stdout, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_every_setting_has_a_row_of_its_own():
    rows = [line.split("`")[1] for line in render().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(known_variables())
    assert ENTRIES.keys() == known_variables() - OTHERS.keys()


def test_every_setting_is_explained():
    unexplained = [
        entry.variable
        for entry in ENTRIES.values()
        if not (entry.unit and entry.meaning.endswith(".")) or "|" in entry.meaning + entry.unit + entry.default
    ]
    assert unexplained == []
    seconds = {name for name in ENTRIES if name.endswith("_S") and not name.endswith("_PER_S")}
    assert {ENTRIES[name].unit for name in seconds} == {"s"}


def test_a_list_is_a_hundred_columns_wide(monkeypatch, capsys):
    lines = listed(monkeypatch, capsys).splitlines()
    assert max(map(len, lines)) <= 100
    assert {line.split(" = ")[0].removesuffix(" =") for line in lines if line.startswith("ORRERY_")} == ENTRIES.keys()


def test_the_value_now_is_shown_with_meaning_unit_and_default(monkeypatch, capsys):
    monkeypatch.setenv("orrery_front_grace_s", "20")
    shown = listed(monkeypatch, capsys, "front")
    assert (
        "ORRERY_FRONT_GRACE_S = 20\n    How long calls in flight may go on after SIGTERM.\n    [s; default 8]\n"
        in shown
    )
    assert "ORRERY_FRONT_ADDRESS = 127.0.0.1:50051\n" in shown
    assert "ORRERY_BACKEND_CA_FILE =\n" in shown
    assert "ORRERY_TRACING_SHARE = 1\n" in shown
    assert "ORRERY_ANOMALY_GRACE_S" not in shown


def test_secrets_are_hidden():
    secrets = [entry for entry in ENTRIES.values() if entry.is_secret]
    assert {entry.field for entry in secrets} == {
        "callers",
        "quota_redis_url",
        "cache_redis_url",
        "errors_dsn",
        "database_url",
        "secret",
    }
    for entry in secrets:
        assert describe(entry, {entry.variable: "hunter2"})[0] == f"{entry.variable} = (set, hidden)"
        assert describe(entry, {})[0] == f"{entry.variable} ="


def test_what_is_wrong_follows_the_list(monkeypatch, capsys):
    monkeypatch.setenv("ORRERY_EDGE_WORKERS", "none")
    monkeypatch.setenv("ORRERY_EDGE_WORKER", "1")
    with pytest.raises(SystemExit) as ended:
        listed(monkeypatch, capsys, "edge")
    assert str(ended.value).splitlines() == [
        "ORRERY_EDGE_WORKERS is 'none'; it must be a whole number, at least 1",
        "ORRERY_EDGE_WORKER is not a setting; the nearest one is ORRERY_EDGE_WORKERS",
    ]
    assert "ORRERY_EDGE_WORKERS = none\n" in capsys.readouterr().out


def test_a_setting_that_is_required_has_no_default():
    assert describe(ENTRIES["ORRERY_DELIVERY_SOURCE"], {})[0] == "ORRERY_DELIVERY_SOURCE ="
