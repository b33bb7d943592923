# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator does with the store, by the commands themselves."""

import json

import pytest

from gateway import feedback
from gateway.feedback.store.contributors import ModelVersion
from gateway.serving.checksums import check_sums
from tests.votes import keep, token


@pytest.fixture
def command(monkeypatch, settings):
    """Runs `python -m gateway feedback …` in this process, on the store of the settings."""
    monkeypatch.setenv("ORRERY_FEEDBACK_FOLDER", str(settings.folder))
    monkeypatch.setenv("ORRERY_FEEDBACK_SECRET", settings.secret.get_secret_value())
    if settings.database_url is not None:
        monkeypatch.setenv("ORRERY_FEEDBACK_DATABASE_URL", settings.database_url.get_secret_value())

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["feedback", *map(str, arguments)])
        feedback.main()

    return run


def test_consensus_is_written_for_training_and_the_model_recorded(store, command, tmp_path):
    contributors = [token() for _ in range(4)]
    for one in contributors:
        keep(store, "(24101) Cassini", by=one)
    folder = tmp_path / "runs" / "r1"
    command("extract", "--run-id", "r1", "--folder", folder)
    assert check_sums(folder) == {"consensus.jsonl", "manifest.json"}
    (line,) = (folder / "consensus.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "designation": "(24101) Cassini",
        "question": "RECORD",
        "label": "DATA_ERROR",
        "status": "AGREED",
        "votes": 4,
        "anonymous_votes": 0,
        "share": 1.0,
        "changed_in_run": "r1",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["run_id"], manifest["previous_run_id"], manifest["changed_rows"]) == ("r1", None, 1)
    # Killed before the folder had its name, or run twice: the same files.
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for one in contributors:
        keep(store, "later", by=one)
    command("extract", "--run-id", "r1", "--folder", folder)
    command("extract", "--run-id", "r1", "--folder", tmp_path / "again")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == before
    command("trained", "--run-id", "r1", "--model", "neo_classifier", "--version", 7)
    command("trained", "--run-id", "r1", "--model", "neo_classifier", "--version", 7)
    assert store.holding(contributors[0]).trained_models == (ModelVersion("neo_classifier", 7),)


def test_a_folder_that_holds_something_else_is_left_alone(store, command, tmp_path):
    (tmp_path / "consensus.jsonl").write_text("mine")
    with pytest.raises(SystemExit, match="FileExistsError"):
        command("extract", "--run-id", "r1", "--folder", tmp_path)
    assert (tmp_path / "consensus.jsonl").read_text() == "mine"


def test_a_model_of_no_run_or_of_another_is_refused(store, command):
    with pytest.raises(SystemExit, match="UnknownRun"):
        command("trained", "--run-id", "r1", "--model", "m", "--version", 1)
    for run_id in ("r1", "r2"):
        store.extract(run_id)
    command("trained", "--run-id", "r1", "--model", "m", "--version", 1)
    with pytest.raises(SystemExit, match="another run"):
        command("trained", "--run-id", "r2", "--model", "m", "--version", 1)
