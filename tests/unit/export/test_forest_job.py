# SPDX-License-Identifier: GPL-3.0-or-later
"""The published forest's manifest, and the threshold with its uncertainty."""

import json
from pathlib import Path

import numpy as np
import pytest

from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.forest import job, threshold
from export.forest.isolation_forest import ForestSettings
from export.publishing import publish
from tests.trained import quiet

SMALL = ForestSettings(trees=40, max_samples=512, false_positive_target=0.02)


def test_the_manifest_says_how_it_was_judged(tiny_catalogue: Catalogue, tmp_path: Path) -> None:
    objects = tiny_catalogue.objects
    listed = {"odd": objects["designation"].tolist()[:3], "coorb": objects["designation"].tolist()[3:4]}
    scale = job.ForestScale(SMALL, other_seeds=(12,))
    done = job.publish_anomaly(tiny_catalogue, scale, tmp_path, 20260101000000, quiet, oddities=listed)
    publish.verify(done.folder)
    manifest = json.loads((done.folder / "manifest.json").read_text())
    said = manifest["metrics"]
    assert said["fraction_called_unusual"] == pytest.approx(0.02, abs=0.001)
    low, high = said["score_threshold_interval_95"]
    assert low < manifest["score_threshold"] < high
    low, high = said["held_out_interval_95"]
    assert low <= said["held_out_fraction_called_unusual"] <= high
    assert said["held_out_objects"] == 600
    assert 0.2 < said["top_percent_overlap_of_seeds"] < 1.0
    # Of three listed objects: the co-orbital is not counted.
    assert 3 * said["core_recall_in_top_percent"] in {0, 1, 2, 3}
    table = manifest["population_percentiles"]
    assert table["1"] < table["50"] < table["99.9"]


def test_what_was_not_asked_is_not_said(tiny_catalogue: Catalogue, tmp_path: Path) -> None:
    done = job.publish_anomaly(tiny_catalogue, job.ForestScale(SMALL), tmp_path, 20260101000000, quiet)
    assert not {"top_percent_overlap_of_seeds", "core_recall_in_top_percent"} & done.manifest.metrics.keys()


def test_the_interval_is_the_bootstraps() -> None:
    """Against resampling in full, on scores whose quantile is well in the tail."""
    scores = np.random.default_rng(1).normal(size=2_000)
    draws = np.random.default_rng(2).choice(scores, (3_000, len(scores)))
    expected = np.quantile(np.quantile(draws, 0.95, axis=1), [0.025, 0.975])
    assert threshold.threshold_interval(scores, 0.05, 20_000) == pytest.approx(expected, abs=0.02)


def test_the_held_out_rate_keeps_near_its_target(tiny_catalogue: Catalogue) -> None:
    columns = tiny_catalogue.objects[list(MODEL_COLUMNS)].to_numpy()
    away = threshold.held_out(columns, ForestSettings(trees=60, max_samples=1024, false_positive_target=0.05))
    assert away.objects == 600
    assert away.interval[0] <= away.rate <= away.interval[1]
    # Objects that no tree was grown on look a little more unusual, the more so in a population as small as this.
    assert 0.025 < away.rate < 0.15
