# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator does with the store, by the commands themselves."""

import json
from argparse import ArgumentParser

import pytest
from sqlalchemy import select

from gateway.feedback import commands
from gateway.feedback.consensus import Status
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.schema import gold
from gateway.serving.checksums import check_sums
from tests.votes import LABEL, consensus, keep, token


@pytest.fixture
def command(monkeypatch, settings):
    """Runs `python -m gateway feedback …` in this process, on the store of the settings."""
    monkeypatch.setenv("ORRERY_FEEDBACK_FOLDER", str(settings.folder))
    monkeypatch.setenv("ORRERY_FEEDBACK_SECRET", settings.secret.get_secret_value())
    if settings.database_url is not None:
        monkeypatch.setenv("ORRERY_FEEDBACK_DATABASE_URL", settings.database_url.get_secret_value())

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["feedback", *map(str, arguments)])
        commands.main(ArgumentParser())

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


ORBITS = """designation,perihelion_distance_au,eccentricity,inclination_deg,longitude_of_ascending_node_deg,\
argument_of_perihelion_deg,epoch_tdb_jd,absolute_magnitude_h,name
(99942) Apophis,0.746,0.1911,3.34,204.0,126.6,2459000.5,19.09,x
(433) Eros,1.1329,0.2229,10.83,304.3,178.9,2459000.5,10.4,x
at the bound of Apollo,1.0171,0.2,10.0,10.0,10.0,2459000.5,25.0,x
no brightness,1.1329,0.2229,10.83,304.3,178.9,2459000.5,,x
of the main belt,2.5,0.1,10.0,10.0,10.0,2459000.5,15.0,x
"""


def test_gold_comes_from_a_catalogue_by_the_exact_rule_and_from_lists(store, command, tmp_path, capsys):
    (tmp_path / "orbits.csv").write_text(ORBITS)
    careful, careless = token(), token()
    keep(store, "(433) Eros", "NOT_HAZARDOUS", by=careful)
    keep(store, "(433) Eros", "HAZARDOUS", by=careless)
    command("gold", "--catalogue", tmp_path / "orbits.csv", "--per-class", 5)
    said = capsys.readouterr().out
    assert said == "gold objects: HAZARDOUS 1, NOT_HAZARDOUS 3, ATEN 1, AMOR 1\n"
    (tmp_path / "list.csv").write_text("designation,label\nwrong on purpose,DATA_ERROR\n(433) Eros,HAZARDOUS\n")
    command("gold", "--list", tmp_path / "list.csv")
    # What the rule says of Eros stands.
    assert capsys.readouterr().out.startswith("gold objects: DATA_ERROR 1, HAZARDOUS 1, NOT_HAZARDOUS 3")
    keep(store, "(433) Eros", "NOT_HAZARDOUS", by=token())
    with store.database.reading() as connection:
        eros = select(gold.c.right_votes, gold.c.wrong_votes).where(gold.c.designation == "(433) Eros")
        hazard = connection.execute(eros.where(gold.c.question == 3)).one()
    assert tuple(hazard) == (2, 1)
    store.write(store.erasing(careless, "please"))
    with store.database.reading() as connection:
        assert tuple(connection.execute(eros.where(gold.c.question == 3)).one()) == (2, 0)
    # What is gold is not revealed by an extraction.
    for _ in range(4):
        keep(store, "(433) Eros", "NOT_HAZARDOUS", by=token())
    assert store.extract("one").rows == ()


def test_skill_on_gold_makes_weight(store, tmp_path, command):
    labels = ["HAZARDOUS"] * 10 + ["NOT_HAZARDOUS"] * 10
    lines = [f"g{number},{label}" for number, label in enumerate(labels)]
    (tmp_path / "list.csv").write_text("\n".join(["designation,label", *lines]))
    command("gold", "--list", tmp_path / "list.csv")
    good, bad = token(), token()
    for number, label in enumerate(labels):
        keep(store, f"g{number}", label, by=good)
        keep(store, f"g{number}", "HAZARDOUS", by=bad)
    assert store.holding(good).weight == 1.0
    assert store.holding(bad).weight == 0.05
    keep(store, label="DATA_ERROR", by=good)
    keep(store, label="DATA_PLAUSIBLE", by=bad)
    assert consensus(store)["RECORD"].shares[LABEL["DATA_ERROR"]] == pytest.approx(1 / 1.05)


def test_what_votes_do_not_settle_is_for_experts(store, command, capsys):
    for label in ["DATA_ERROR", "DATA_PLAUSIBLE"] * 5:
        keep(store, label=label, by=token())
    command("queue")
    assert capsys.readouterr().out == "2004 FH\tRECORD\tDATA_ERROR 0.56, DATA_PLAUSIBLE 0.44\n"
    command("decide", "2004 FH", "DATA_ERROR")
    command("queue")
    assert capsys.readouterr().out == ""
    (row,) = store.extract("one").rows
    assert (row.label, row.status) == (LABEL["DATA_ERROR"], Status.EXPERT_DECIDED)


def test_a_backup_and_its_way_back(store, command, settings, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ORRERY_MODEL_STORE", str(tmp_path / "models"))
    keep(store, by=token())
    command("backup", tmp_path / "backup")
    with pytest.raises(SystemExit, match="already"):
        command("restore", tmp_path / "backup")
    store.close()
    command("restore", tmp_path / "backup", "--force")
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 votes, 0 model versions of 20")
    assert consensus(store)["RECORD"].weighed == (1,)
