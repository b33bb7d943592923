# SPDX-License-Identifier: GPL-3.0-or-later
"""The temperature, against probabilities made too sure on purpose."""

import numpy as np
import pytest

from export.classifier import calibration
from export.classifier.training import CLASS_HEAD, HAZARD_HEAD, Network
from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import flat_orbits


def test_finds_how_much_too_sure_the_logits_are() -> None:
    random = np.random.default_rng(3)
    logit = random.normal(0.0, 2.0, 60_000)
    truth = random.random(len(logit)) < 1.0 / (1.0 + np.exp(-logit))
    for factor in (0.5, 1.0, 3.0):
        assert calibration.temperature(truth, factor * logit) == pytest.approx(factor, rel=0.03)


def test_nothing_is_measured_where_nothing_is_wrong() -> None:
    assert calibration.temperature(np.array([False, True]), np.array([-1.0, 1.0])) == 1.0


def test_one_kind_cannot_be_calibrated() -> None:
    with pytest.raises(calibration.CalibrationError, match="both kinds"):
        calibration.temperature(np.ones(3, np.bool_), np.ones(3))


def test_log_loss_is_finite_where_probabilities_are_not_told_from_one() -> None:
    assert calibration.log_loss(np.array([False]), np.array([1_000.0])) == pytest.approx(1_000.0)


def test_a_temperature_lies_inside_the_hazard_head_alone() -> None:
    random = np.random.default_rng(4)
    shapes = {"hidden_1": (12, 8), "hidden_2": (8, 4), "hidden_3": (4, 4), HAZARD_HEAD: (4, 1), CLASS_HEAD: (4, 4)}
    layers = {
        name: (random.normal(size=shape).astype(np.float32), random.normal(size=shape[1]).astype(np.float32))
        for name, shape in shapes.items()
    }
    network = Network(np.zeros(12, np.float32), np.ones(12, np.float32), layers, 0.0)
    assert network.hidden_layers == ("hidden_1", "hidden_2", "hidden_3")
    assert network.weights == sum(rows * columns + columns for rows, columns in shapes.values())
    columns = flat_orbits(500, 1)[list(MODEL_COLUMNS)].to_numpy()
    hazard, classes = network.logits(columns)
    cooled_hazard, cooled_classes = network.with_temperature(2.0).logits(columns)
    assert cooled_hazard == pytest.approx(hazard / 2.0, rel=1e-4, abs=1e-5)
    assert np.array_equal(cooled_classes, classes)
