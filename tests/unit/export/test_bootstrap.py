# SPDX-License-Identifier: GPL-3.0-or-later
"""Resampled metrics against the plain ones, and the paired tests against numbers from the books."""

import numpy as np
import pytest

from export.evaluation import bootstrap, comparison, metrics


def judged(count: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probability = np.round(random.random(count) ** 3, 2).astype(np.float32)  # rounded: many are equal
    return random.random(count) < probability, probability


def test_a_resampling_is_measured_as_if_its_objects_were_written_out() -> None:
    truth, probability = judged()
    sample = bootstrap.Sample(truth, probability, 0.4)
    counts = next(bootstrap.draws(len(truth), 3, 5))
    found = sample.measure(counts)
    for row, drawn in enumerate(counts):
        assert drawn.sum() == len(truth)
        objects = np.repeat(np.arange(len(truth)), drawn)
        plain = metrics.hazard_metrics(truth[objects], probability[objects], 0.4)
        for name, values in found.items():
            assert values[row] == pytest.approx(plain[name], rel=1e-5), name


def test_nothing_called_hazardous_has_an_f1_of_zero() -> None:
    truth, probability = judged()
    found = bootstrap.Sample(truth, probability, 1.1).measure(np.ones((1, len(truth)), np.int64))
    assert found["f1"].tolist() == [0.0]


def test_intervals_are_seeded_and_hold_the_figure() -> None:
    truth, probability = judged(2_000)
    found = bootstrap.intervals(truth, probability, 0.4, resamples=200)
    assert found == bootstrap.intervals(truth, probability, 0.4, resamples=200)
    plain = metrics.hazard_metrics(truth, probability, 0.4)
    for name in ("average_precision", "roc_auc", "f1", "brier", "log_loss"):
        low, high = found[name]
        assert low < plain[name] < high


def test_the_interval_of_a_frequency_is_the_books() -> None:
    """The Brier score of probabilities all zero is a plain frequency: 95 % within 1.96 standard errors."""
    truth = np.arange(2_000) < 400
    low, high = bootstrap.intervals(truth, np.zeros(2_000), 0.5, resamples=4_000)["brier"]
    half = 1.96 * np.sqrt(0.2 * 0.8 / 2_000)
    assert (low, high) == (pytest.approx(0.2 - half, abs=0.002), pytest.approx(0.2 + half, abs=0.002))


def test_objects_of_one_kind_have_no_intervals() -> None:
    assert bootstrap.intervals(np.ones(3, np.bool_), np.ones(3), 0.5) == {}
    assert bootstrap.calibration_error_of_the_calibrated(np.zeros(0)) == []


def test_calibrated_by_construction_lies_within_chance() -> None:
    truth, probability = judged(5_000)
    low, high = bootstrap.calibration_error_of_the_calibrated(probability, 300)
    assert low < metrics.expected_calibration_error(truth, probability) < high
    assert metrics.expected_calibration_error(truth, probability**2) > high


def test_mcnemar_by_hand() -> None:
    """Six discordant pairs, all ours: 2 / 2**6."""
    truth = np.ones(10, np.bool_)
    ours, theirs = np.arange(10) < 8, np.arange(10) < 2
    assert comparison.mcnemar(truth, ours, theirs) == {
        "only_ours_right": 6.0,
        "only_theirs_right": 0.0,
        "p_value": pytest.approx(2 / 64),
    }
    assert comparison.mcnemar(truth, ours, ours)["p_value"] == 1.0


def test_a_model_is_no_better_than_itself_and_better_than_a_noisy_copy() -> None:
    truth, probability = judged(3_000)
    same = comparison.compare(truth, (probability, 0.4), (probability, 0.4), resamples=100)
    assert same["average_precision"]["difference"] == 0.0
    assert same["average_precision"]["p_value"] == 1.0
    noisy = np.clip(probability + np.random.default_rng(2).normal(0.0, 0.3, len(truth)), 0.0, 1.0)
    better = comparison.compare(truth, (probability, 0.4), (noisy, 0.4), resamples=200)["average_precision"]
    assert better["interval"][0] > 0.0
    assert better["p_value"] == pytest.approx(1 / 200)
    worse = comparison.compare(truth, (noisy, 0.4), (probability, 0.4), resamples=200)["average_precision"]
    assert worse["difference"] == -better["difference"]
