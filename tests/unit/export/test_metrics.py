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


def test_log_loss_and_confusion_by_hand() -> None:
    found = metrics.hazard_metrics(TRUTH, PROBABILITY, 0.65)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.6, 0.8, 0.9]).mean())
    assert found["confusion"] == [[2, 1], [1, 2]]


def test_distance_to_the_cuts_of_the_classes() -> None:
    # a = 1.8, q = .9; a = .8, Q = .88; a = 1.0, Q out of play; q = 1.017 itself.
    q = np.array([0.9, 0.72, 0.5, 1.017])
    e = np.array([0.5, 0.1, 0.5, 0.4])
    assert metrics.boundary_distance_au(q, e) == pytest.approx([0.117, 0.103, 0.0, 0.0], abs=1e-12)


def test_class_agreement_forgives_near_a_cut_only() -> None:
    columns = np.tile([1.0175, 0.4, 3.0, 0.0, 0.0, 20.0], (3, 1))
    columns[2, 0] = 1.2
    truth = np.array([3, 3, 3])
    found = metrics.class_agreement(columns, truth, np.eye(4)[[2, 3, 3]])
    by_distance = {row["farther_than_au"]: row for row in found}
    assert by_distance[0.0]["agreement"] == pytest.approx(2 / 3)
    assert (by_distance[0.001]["objects"], by_distance[0.001]["agreement"]) == (1, 1.0)


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
    columns = np.tile([0.9, 0.5, 3.0, 0.0, 0.0, 0.0], (6, 1))
    columns[:, 5] = [22.0, 22.0, 21.0, 20.0, 22.1, 30.0]
    predictions = {"pha_probability": PROBABILITY, "class_probabilities": np.eye(4)[[0] * 6]}
    found = metrics.classifier_metrics(columns, TRUTH, np.zeros(6, np.int64), predictions, 0.5)
    assert found["h_at_most_22"]["objects"] == 4


def test_share_in_top() -> None:
    assert metrics.share_in_top(np.arange(101.0), [99.0, 100.0, 98.9], 0.01) == pytest.approx(2 / 3)
