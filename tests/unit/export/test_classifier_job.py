# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole job on a tiny scale: the same twice, resumed, compared, drawn."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.classifier import job
from export.classifier.cross_validation import cross_validate, folds_of
from export.classifier.job import ClassifierScale
from export.classifier.training import Training, train
from export.data import catalogue
from export.evaluation import champion, figures
from export.evaluation.report import ClassifierReport
from export.publishing import publish

TINY = ClassifierScale(
    6_000,
    Training(epochs=3, pruning_epochs=1, batch_rows=256, hidden_units=(16, 8), dropout=0.05),
    resamples=20,
)

pytestmark = pytest.mark.long


def quiet(what: str, fraction: float) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def twice(tiny_catalogue: catalogue.Catalogue, store: Path) -> list[publish.Published]:
    return [job.publish_classifier(tiny_catalogue, TINY, store, version, quiet) for version in (1, 2)]


def test_the_same_seed_gives_the_same_metrics(twice: list[publish.Published]) -> None:
    first, second = (dict(one.manifest.metrics) for one in twice)
    compared = second.pop("comparisons")
    assert first.pop("comparisons") == {}
    assert first == second
    assert list(compared) == ["version 1"]
    assert compared["version 1"]["all"]["average_precision"]["difference"] == 0.0
    assert compared["version 1"]["all"]["mcnemar"]["p_value"] == 1.0


def test_another_seed_gives_another_network(tiny_catalogue: catalogue.Catalogue) -> None:
    split, _ = job.training_data(tiny_catalogue, 3_000)
    training = replace(TINY.training, epochs=1, pruning_epochs=0)
    kernels = [train(split, replace(training, seed=seed), quiet)[0].layers["hidden_1"][0] for seed in (1, 1, 2)]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_the_manifest_holds_the_whole_report(twice: list[publish.Published]) -> None:
    written = json.loads((twice[1].folder / publish.MANIFEST_FILE).read_text())
    report = ClassifierReport.from_metrics(written["metrics"])
    assert report.to_metrics() == written["metrics"]
    assert [row["stage"] for row in report.history] == ["training"] * 3 + ["pruning"]
    assert report.folds == []
    for part in ("all", "h_at_most_22"):
        low, high = report.intervals[part]["average_precision"]
        assert low <= report.by_date[part]["average_precision"] <= high
    assert written["weights"] == 12 * 16 + 16 + 16 * 8 + 8 + 8 + 1 + 8 * 4 + 4


def test_a_damaged_version_before_is_named_and_stops_nothing(
    tiny_catalogue: catalogue.Catalogue, twice: list[publish.Published], store: Path
) -> None:
    assert champion.previous_version(store, job.CLASSIFIER, 2) == 1
    damaged = twice[1].folder / "saved_model.pb"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1])
    try:
        scale = replace(TINY, training=replace(TINY.training, epochs=1))
        found = job.publish_classifier(tiny_catalogue, scale, store, 3, quiet).manifest.metrics["comparisons"]
    finally:
        damaged.write_bytes(whole)
    assert "saved_model.pb has changed" in found["version 2"]["refused"]


def test_the_gate_sees_the_staged_folder_and_may_refuse(tiny_catalogue: catalogue.Catalogue, store: Path) -> None:
    def gate(judges, answer):
        assert judges.real.any() == (tiny_catalogue.provenance.kind != "synthetic")
        assert answer(judges.columns[:3])["pha_probability"].shape == (3,)

        def refuse(folder: Path) -> None:
            assert (folder / "saved_model.pb").is_file()
            assert (folder / publish.MANIFEST_FILE).is_file()
            raise publish.RefusedError("not today")

        return [refuse]

    scale = replace(TINY, training=replace(TINY.training, epochs=1, pruning_epochs=0))
    with pytest.raises(publish.RefusedError, match="not today"):
        job.publish_classifier(tiny_catalogue, scale, store, 9, quiet, gate)
    assert 9 not in publish.versions(store, job.CLASSIFIER)


def test_figures_are_drawn_from_the_report_alone(twice: list[publish.Published], tmp_path: Path) -> None:
    paths = figures.write(tmp_path / "figures", ClassifierReport.from_metrics(twice[1].manifest.metrics))
    assert [path.name for path in paths] == list(figures.FILES)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_training_goes_on_where_it_was_broken_off(tiny_catalogue: catalogue.Catalogue, tmp_path: Path) -> None:
    split, _ = job.training_data(tiny_catalogue, 3_000)
    training = replace(TINY.training, epochs=4, pruning_epochs=0)

    def interrupt(what: str, fraction: float) -> None:
        if fraction >= 0.75:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(split, training, interrupt, tmp_path)
    network, _ = train(split, training, quiet, tmp_path)
    assert [row["epoch"] for row in network.history] == [3, 4]


def test_folds_are_disjoint_and_whole() -> None:
    parts = folds_of(1_003, 5, 1)
    assert sorted(np.concatenate(parts)) == list(range(1_003))
    assert {len(part) for part in parts} == {200, 201}


def test_each_fold_is_judged_once(tiny_catalogue: catalogue.Catalogue) -> None:
    split, _ = job.training_data(tiny_catalogue, 3_000)
    rows = cross_validate(split.train, replace(TINY.training, epochs=1), quiet, folds=2)
    assert [row["fold"] for row in rows] == [1, 2]
    assert sum(row["objects"] for row in rows) == len(split.train)
    assert sum(row["real"]["objects"] for row in rows) == split.train.real.sum()
