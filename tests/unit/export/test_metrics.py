# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics on numbers small enough to count by hand."""

import numpy as np
import pytest

from export.evaluation import metrics

TRUTH = np.array([True, True, False, True, False, False])
PROBABILITY = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])


def test_hazard_metrics_by_hand() -> None:
    found = metrics.hazard_metrics(TRUTH, PROBABILITY, 0.65)
    assert (found["objects"], found["hazardous"]) == (6, 3)
    # Precisions at the three hazardous objects, in falling order: 1/1, 2/2, 3/4.
    assert found["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    # Of nine pairs one is in the wrong order.
    assert found["roc_auc"] == pytest.approx(8 / 9)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.16 + 0.04 + 0.01) / 6)
    assert (found["precision"], found["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found["recall_at_precision_90"] == pytest.approx(2 / 3)


def test_threshold_itself_counts_as_hazardous() -> None:
    assert metrics.hazard_metrics(TRUTH, PROBABILITY, 0.6)["recall"] == 1.0


def test_objects_of_one_kind_have_counts_only() -> None:
    assert metrics.hazard_metrics(np.ones(3, np.bool_), np.ones(3), 0.5) == {"objects": 3.0, "hazardous": 3.0}
    assert metrics.hazard_metrics(np.zeros(0, np.bool_), np.ones(0), 0.5) == {"objects": 0.0, "hazardous": 0.0}


def test_best_threshold_separates_where_it_can() -> None:
    assert metrics.best_f1_threshold(TRUTH, np.array([0.9, 0.8, 0.3, 0.6, 0.2, 0.1])) == pytest.approx(0.6)


def test_calibration_error() -> None:
    stated = np.full(1_000, 0.25)
    assert metrics.expected_calibration_error(np.arange(1_000) < 250, stated) == pytest.approx(0.0, abs=1e-12)
    assert metrics.expected_calibration_error(np.arange(1_000) < 750, stated) == pytest.approx(0.5)
    assert metrics.expected_calibration_error(np.array([True]), np.array([1.0])) == 0.0


def test_class_metrics() -> None:
    found = metrics.class_metrics(np.array([0, 1, 2, 3, 3]), np.eye(4)[[0, 1, 2, 3, 2]])
    assert found["accuracy"] == pytest.approx(4 / 5)
    assert found["confusion"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_no_objects_have_no_class_metrics() -> None:
    assert metrics.class_metrics(np.zeros(0, np.int64), np.zeros((0, 4))) == {}


def test_bright_subset_includes_its_boundary() -> None:
    magnitude_h = np.array([22.0, 22.0, 21.0, 20.0, 22.1, 30.0])
    predictions = {"pha_probability": PROBABILITY, "class_probabilities": np.eye(4)[[0] * 6]}
    found = metrics.classifier_metrics(magnitude_h, TRUTH, np.zeros(6, np.int64), predictions, 0.5)
    assert found["h_at_most_22"]["objects"] == 4


def test_share_in_top() -> None:
    assert metrics.share_in_top(np.arange(101.0), [99.0, 100.0, 98.9], 0.01) == pytest.approx(2 / 3)
