# SPDX-License-Identifier: GPL-3.0-or-later
"""Retraining: twice is once, killed is not lost, two at a time is one, and votes choose little."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from export import cli
from export.data import catalogue
from export.data.catalogue import CatalogueError
from export.publishing import publish
from export.retraining import command, consensus
from export.retraining.consensus import Consensus, ConsensusError
from export.retraining.ledger import BusyError, Ledger, LedgerError
from gateway.feedback.consensus import Status
from gateway.feedback.extraction_files import write_run
from gateway.feedback.labels import label_of
from gateway.feedback.store.extraction import ConsensusRow, Run
from orrery.inference import v1
from tests.trained import quiet
from tests.unit.export import dummy_retraining
from tests.unit.export.dummy_retraining import CATALOGUE, MODELS, challengers, run

PROJECT_ROOT = Path(__file__).resolve().parents[3]
VOTED = Consensus("2026-11-26", data_errors=("synthetic 7", "(99942) Apophis"), interesting=("synthetic 9",))


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with its sum."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def start(store: Path, way: str = "run", size: int = 100, **settings: object) -> subprocess.Popen[str]:
    script = [sys.executable, dummy_retraining.__file__, way, str(store), *([str(size)] if way == "run" else [])]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    return subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=environment, cwd=PROJECT_ROOT, **settings)


def test_twice_is_once(tmp_path: Path) -> None:
    first, worked = run(tmp_path)
    assert worked
    assert challengers(tmp_path) == {name: [first.run_id] for name in MODELS}
    before = tree(tmp_path)
    second, worked = run(tmp_path)
    assert (second, worked) == (first, False)
    assert tree(tmp_path) == before


def test_what_is_new_is_worked_on_and_the_last_two_challengers_stay(tmp_path: Path) -> None:
    ids = [run(tmp_path)[0].run_id, run(tmp_path, VOTED)[0].run_id, run(tmp_path, VOTED, recipe=2)[0].run_id]
    assert ids == sorted(set(ids))
    assert challengers(tmp_path) == dict.fromkeys(MODELS, ids[1:])
    assert [one.run_id for one in Ledger(tmp_path).runs()] == ids
    renamed = replace(VOTED, extraction_id="another run of the store that says the same")
    assert run(tmp_path, renamed, recipe=2)[1] is False


def test_manifest_ledger_and_history_say_what_was_used(tmp_path: Path) -> None:
    done, _ = run(tmp_path, VOTED)
    folder = tmp_path / "challengers" / "neo_classifier" / str(done.run_id)
    used = json.loads((folder / "manifest.json").read_text())["retraining"]
    assert used["extraction_id"] == "2026-11-26"
    assert used["rows_set_aside"] == ["synthetic 7"]
    assert used["catalogue_sha256"] == CATALOGUE.provenance.sha256
    assert done.consensus["unknown"] == ["(99942) Apophis"]
    report = (tmp_path / "retraining" / "runs" / f"{done.run_id}.md").read_text()
    assert "synthetic 7" in report
    assert "consensus 2026-11-26, 1 rows set aside" in (folder.parent / "NUMBERS.md").read_text()


def test_training_is_recorded_before_the_run_is_over(tmp_path: Path) -> None:
    told = []

    def refuse_once(*what: object) -> None:
        told.append(what)
        if len(told) == 1:
            raise command.NotRecordedError("the feedback store is away")

    work = (tmp_path, CATALOGUE, VOTED, dummy_retraining.jobs(), quiet, refuse_once)
    with pytest.raises(command.NotRecordedError):
        dummy_retraining.retrain(*work)
    assert Ledger(tmp_path).last() is None
    done, _ = dummy_retraining.retrain(*work)
    assert told[1:] == [("2026-11-26", name, done.run_id) for name in MODELS]
    assert challengers(tmp_path) == {name: [done.run_id] for name in MODELS}


def test_a_refused_challenger_is_named_and_not_tried_again(tmp_path: Path) -> None:
    worse = [
        dummy_retraining.job("neo_anomaly"),
        dummy_retraining.job("neo_classifier", refusal="worse than version 3"),
    ]
    for worked in (True, False):
        done, did = dummy_retraining.retrain(tmp_path, CATALOGUE, VOTED, worse, quiet)
        assert did is worked
        assert done.results["neo_classifier"].refused == "worse than version 3"
    assert challengers(tmp_path) == {"neo_anomaly": [done.run_id], "neo_classifier": []}


def test_killed_at_any_touch_of_the_disk_the_store_is_whole_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with start(tmp_path, "kill") as process:
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.wait() == 0, said
    assert json.loads(said)["points"] > 50


def test_what_a_killed_run_left_goes_when_its_inputs_are_out_of_date(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "published neo_anomaly":
                break
        process.kill()
    (old,) = publish.versions(tmp_path / "challengers", "neo_anomaly")
    done, _ = run(tmp_path, VOTED)
    assert done.run_id > old
    assert challengers(tmp_path) == {name: [done.run_id] for name in MODELS}


def test_two_at_once_are_one(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training neo_anomaly\n"
        with pytest.raises(BusyError, match="another run of retraining is under way"):
            run(tmp_path)
        assert process.stdout.read().endswith("done\n")
    assert run(tmp_path)[1] is False


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A file may not grow beyond 20 kB in the child, as it could not on a disk with so much left."""
    run(tmp_path)
    before = tree(tmp_path / "challengers")
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))}
    with start(tmp_path, size=50_000, **limit) as process:
        assert process.stdout is not None
        assert "failed: [Errno 27] File too large" in process.stdout.read()
    assert process.wait() == 1
    assert tree(tmp_path / "challengers") == before
    done, worked = run(tmp_path, size=50_000)
    assert worked
    assert all(versions[-1] == done.run_id for versions in challengers(tmp_path).values())


def test_a_ledger_that_cannot_be_read_stops_the_run(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "retraining" / "last.json").write_text("{")
    with pytest.raises(LedgerError, match=r"last\.json cannot be read"):
        run(tmp_path)


def test_votes_choose_little(tmp_path: Path) -> None:
    flood = Consensus("flood", data_errors=tuple(f"synthetic {row}" for row in range(4)))
    with pytest.raises(ConsensusError, match="calls 4 of 300 rows data errors; at most 1% are set aside"):
        run(tmp_path, flood)
    assert challengers(tmp_path) == {name: [] for name in MODELS}


def row(designation: str, label: str, question: int) -> ConsensusRow:
    number = label_of(label) if label else 0
    return ConsensusRow(designation, question, number, Status.AGREED if label else Status.OPEN, 4, 0, 1000, "r")


def extraction(folder: Path, *rows: ConsensusRow) -> Path:
    write_run(Run("r", 1, 1, "rule", None, rows), folder)
    return folder


def test_an_extraction_is_read_as_the_feedback_store_writes_it(tmp_path: Path) -> None:
    record, interest = v1.CLASSIFICATION_QUESTION_RECORD, v1.CLASSIFICATION_QUESTION_INTEREST
    hazard, orbit_class = v1.CLASSIFICATION_QUESTION_HAZARD, v1.CLASSIFICATION_QUESTION_ORBIT_CLASS
    folder = extraction(
        tmp_path / "r",
        row("synthetic 1", "DATA_ERROR", record),
        row("synthetic 2", "DATA_PLAUSIBLE", record),
        row("synthetic 3", "", record),
        row("synthetic 3", "INTERESTING", interest),
        row("synthetic 4", "HAZARDOUS", hazard),
        row("synthetic 4", "ATIRA", orbit_class),
    )
    said = consensus.read(folder)
    assert (said.extraction_id, said.data_errors, said.interesting) == ("r", ("synthetic 1",), ("synthetic 3",))
    against = consensus.noted(CATALOGUE, said, [])["against_the_rule"]
    rule = consensus.label(CATALOGUE.objects[CATALOGUE.objects["designation"] == "synthetic 4"], real=False)
    expected = [] if rule.hazardous[0] else ["synthetic 4 (hazardous)"]
    expected += [] if rule.orbit_class[0] == 0 else ["synthetic 4 (atira)"]
    assert against == expected
    assert expected


def test_an_empty_or_damaged_extraction(tmp_path: Path) -> None:
    empty = consensus.read(extraction(tmp_path / "empty"))
    assert empty.sha256 == consensus.NOTHING.sha256
    damaged = extraction(tmp_path / "damaged", row("x", "DATA_ERROR", v1.CLASSIFICATION_QUESTION_RECORD))
    (damaged / "consensus.jsonl").write_text("{}\n")
    with pytest.raises(ConsensusError, match=r"consensus\.jsonl has changed"):
        consensus.read(damaged)
    with pytest.raises(ConsensusError, match="cannot be used"):
        consensus.read(tmp_path / "nowhere")


def champion_of(store: Path, **data: object) -> None:
    learnt_from = {**asdict(CATALOGUE.provenance), "kind": "catalogue", "date": "2999-01-01", **data}
    manifest = publish.Manifest("neo_classifier", 1, "v", "2026", learnt_from, {}, {})
    with publish.staged_version(store, "neo_classifier", 1) as folder:
        (folder / "manifest.json").write_text(manifest.to_json())


def test_a_catalogue_older_than_the_champions_is_no_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No service is in reach: what is left is the package's file, or nothing real at all."""
    champion_of(tmp_path)
    monkeypatch.setattr(command.sources, "SERVICES", ())
    arguments = ["retrain", "--store", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert cli.main(arguments) == 1
    with pytest.raises(CatalogueError, match="no newer catalogue is in reach"):
        command.current_catalogue(None, tmp_path / "cache", tmp_path, offline=False, progress=quiet)
    assert not (tmp_path / "challengers").exists()


@pytest.mark.long
def test_both_models_pass_every_gate_beside_their_champions(
    tiny_models: dict[str, publish.Published], tiny_catalogue: catalogue.Catalogue, tmp_path: Path
) -> None:
    from export.classifier.job import ClassifierScale
    from export.classifier.training import Training
    from export.forest.isolation_forest import ForestSettings
    from export.forest.job import ForestScale
    from export.publishing import infra_check
    from export.retraining import jobs
    from export.retraining.run import retrain

    for name, one in tiny_models.items():
        shutil.copytree(one.folder, tmp_path / name / one.folder.name)
    served = {name: tree(tmp_path / name) for name in tiny_models}
    network = ClassifierScale(12_000, Training(epochs=6, pruning_epochs=2, batch_rows=256), resamples=20)
    forest = ForestScale(ForestSettings(trees=40, max_samples=512))
    with infra_check.anomaly_pod() as anomaly_pod, infra_check.model_server() as model_server:
        work = [
            jobs.forest_job(tmp_path, forest, lambda: anomaly_pod),
            jobs.classifier_job(tmp_path, network, lambda: model_server, None),
        ]
        voted = Consensus("e", interesting=("synthetic 9", "synthetic 11"))
        done, _ = retrain(tmp_path, tiny_catalogue, voted, work, quiet)
    assert {name: result.refused for name, result in done.results.items()} == dict.fromkeys(tiny_models, "")
    for name, result in done.results.items():
        assert any(text.startswith("in turns with the champion: p50") for text in result.said)
        folder = tmp_path / "challengers" / name / str(result.version)
        assert "Retraining run" in (folder / "MODEL_CARD.md").read_text()
        assert {path: total for path, total in tree(tmp_path / name).items() if path != "NUMBERS.md"} == served[name]
    watched = json.loads((tmp_path / "challengers" / "neo_anomaly" / str(done.run_id) / "manifest.json").read_text())
    assert {entry["designation"] for entry in watched["watch_list"]} == {"synthetic 9", "synthetic 11"}
