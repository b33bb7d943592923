# SPDX-License-Identifier: GPL-3.0-or-later
"""The search: what it may look at, and how it chooses."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.classifier import search
from export.classifier.search import SearchSettings, Trial
from export.classifier.training import Training
from export.data import catalogue
from export.data.cleaning import MODEL_COLUMNS

SMALL = SearchSettings(trials=2, finalists=1, repeats=2, training_orbits=4_000, choice_orbits=4_000, epochs=2, tie=1e-3)


def quiet(what: str, fraction: float) -> None:
    """Show nothing."""


def trial(configuration: int, score: float, calibration_error: float = 0.0) -> Trial:
    return Trial("final", configuration, "8", 1e-3, 0.0, 0.0, 1, 9, 2, 0.1, score, score, calibration_error, 0.0, score)


def test_nothing_of_the_test_years_takes_part(tiny_catalogue: catalogue.Catalogue) -> None:
    """Moving every object of 2020 and later elsewhere changes nothing that the search sees."""
    objects = tiny_catalogue.objects
    later = (objects["first_reported_year"] >= 2020).to_numpy(dtype=np.bool_)
    assert later.any()
    moved = objects.copy()
    moved.loc[later, "perihelion_distance_au"] = 0.123
    seen = search.search_data(tiny_catalogue, SMALL)
    again = search.search_data(replace(tiny_catalogue, objects=moved), SMALL)
    for part, other in zip((*_parts(seen[0]), *seen[1:]), (*_parts(again[0]), *again[1:]), strict=True):
        assert np.array_equal(part.columns, other.columns)
    years = objects["first_reported_year"].to_numpy(dtype=np.int64)
    chosen_by = objects[(years >= 2016) & (years < 2020)][list(MODEL_COLUMNS)].to_numpy()
    assert np.array_equal(seen[1].columns, chosen_by)


def _parts(split):
    return split.train, split.validation, split.test


def test_a_catalogue_without_the_years_of_choice_is_refused(tiny_catalogue: catalogue.Catalogue) -> None:
    late = tiny_catalogue.objects[tiny_catalogue.objects["first_reported_year"] >= 2020]
    with pytest.raises(search.SearchError, match="2016 to 2019"):
        search.search_data(replace(tiny_catalogue, objects=late), SMALL)


def test_configurations_are_seeded_and_begin_with_the_default() -> None:
    default = Training(epochs=3, pruning_epochs=0)
    settings = SearchSettings(trials=20)
    found = search.configurations(settings, default)
    assert found == search.configurations(settings, default)
    assert found[0] == default
    assert len(set(found)) == 20
    assert all(1e-3 <= training.learning_rate <= 1.2e-2 for training in found)
    assert len({training.hidden_units for training in found}) > 3


def test_equal_scores_are_parted_by_calibration() -> None:
    near = [trial(1, 0.9992, 0.004), trial(2, 0.9991, 0.001), trial(3, 0.9900, 0.0)]
    assert [t.configuration for t in sorted(near, key=lambda t: search.rank(t, 1e-3))] == [2, 1, 3]
    assert [t.configuration for t in sorted(near, key=lambda t: search.rank(t, 1e-5))] == [1, 2, 3]


@pytest.mark.parametrize(("gain", "chosen"), [(0.0001, 0), (0.002, 1), (-0.01, 0)])
def test_the_default_stays_within_the_noise(gain: float, chosen: int) -> None:
    spread = (-0.0005, 0.0, 0.0005)
    finals = {number: [trial(number, 0.99 + number * gain + s) for s in spread] for number in (0, 1)}
    number, reason = search.choose(finals)
    assert number == chosen
    assert ("taken" in reason) == (chosen == 1)


@pytest.mark.long
def test_every_trial_is_in_the_table(tiny_catalogue: catalogue.Catalogue, tmp_path: Path) -> None:
    result = search.run_search(tiny_catalogue, SMALL, tmp_path, quiet)
    with (tmp_path / search.SEARCH_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["configuration"]) for row in rows] == [
        ("search", "0"), ("search", "1"), ("final", "0"), ("final", "0"), ("final", "1"), ("final", "1"),
    ]  # fmt: skip
    assert len({row["seed"] for row in rows if row["configuration"] == "1"}) == 3
    assert all(0.0 < float(row["score"]) <= 1.0 for row in rows)
    assert len(result.trials) == 6
    assert result.chosen in search.configurations(SMALL, Training(epochs=2, pruning_epochs=0))
