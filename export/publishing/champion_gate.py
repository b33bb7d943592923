# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluator: a candidate may replace the champion only where it is not worse on the frozen set.

Both are loaded from their SavedModels and asked about the same objects. A first version has no champion; what has
learnt from synthetic orbits never replaces what has learnt from a real catalogue.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.data.dataset import CLASSES, Labelled
from export.evaluation import comparison
from export.evaluation.metrics import expected_calibration_error
from export.publishing import champions
from export.publishing.publish import RefusedError
from export.quiet_tensorflow import tf
from gateway.neo.hazard import PHA_MAX_ABSOLUTE_MAGNITUDE_H

AVERAGE_PRECISION_MARGIN: Final = 0.002
"""As much as a compressed variant may lose (`export.classifier.compress`)."""
RECALL_MARGIN: Final = 0.01
CALIBRATION_ERROR_MARGIN: Final = 0.002
_RESAMPLES: Final = 200
# Of a class with few objects, so many may change sides whatever the share: Atiras are about twenty.
_FEW_OBJECTS: Final = 2

Answers = Mapping[str, NDArray[Any]]


def check_against_champion(folder: Path, store: Path, name: str, frozen: Labelled, serving: int | None = None) -> None:
    """Refuse a candidate that is worse than the champion by more than the margins.

    Args:
        folder: of the candidate.
        store: of all models.
        name: of the model.
        frozen: the objects to judge on, both kinds present.
        serving: the champion's version, where labels say it; else the newest one that is whole.

    Raises:
        RefusedError: names every measure that fell, from what to what.
    """
    champion = champions.champion(store, name, serving)
    if champion is None:
        return
    champions.check_kinds(folder, champion)
    ours, theirs = (_answers(candidate, frozen.columns) for candidate in (folder, champion))
    if losses := [*_hazard_losses(frozen, ours, theirs), *_class_losses(frozen, ours, theirs)]:
        raise RefusedError(f"worse than the champion, version {champion.name}: {'; '.join(losses)}")


def _answers(folder: Path, columns: NDArray[np.float64]) -> Answers:
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return {name: value.numpy() for name, value in signature(orbits=tf.constant(columns, tf.float64)).items()}


def _hazard_losses(frozen: Labelled, ours: Answers, theirs: Answers) -> list[str]:
    bright = frozen.columns[:, 5] <= PHA_MAX_ABSOLUTE_MAGNITUDE_H
    losses = []
    for words, rows in (("all", np.ones(len(frozen), np.bool_)), ("H <= 22", bright)):
        truth = frozen.hazardous[rows]
        if truth.all() or not truth.any():
            continue
        said = [(answers["pha_probability"][rows], 0.5) for answers in (ours, theirs)]
        found = comparison.compare(truth, said[0], said[1], _RESAMPLES)["average_precision"]
        if found["difference"] < -AVERAGE_PRECISION_MARGIN:
            low, high = found["interval"]
            losses.append(
                f"average precision ({words}) {found['ours']:.4f} after {found['theirs']:.4f}, "
                f"difference in [{low:.4f}, {high:.4f}], {AVERAGE_PRECISION_MARGIN} allowed"
            )
        errors = [expected_calibration_error(truth, probability) for probability, _ in said]
        if errors[0] > errors[1] + CALIBRATION_ERROR_MARGIN:
            losses.append(
                f"calibration error ({words}) {errors[0]:.4f} after {errors[1]:.4f}, {CALIBRATION_ERROR_MARGIN} allowed"
            )
    return losses


def _class_losses(frozen: Labelled, ours: Answers, theirs: Answers) -> list[str]:
    losses = []
    for number, orbit_class in enumerate(CLASSES):
        rows = frozen.orbit_class == number
        if not rows.any():
            continue
        recalls = [
            float(np.mean(answers["class_probabilities"][rows].argmax(axis=1) == number)) for answers in (ours, theirs)
        ]
        allowed = max(RECALL_MARGIN, _FEW_OBJECTS / float(rows.sum()))
        if recalls[0] < recalls[1] - allowed:
            losses.append(
                f"recall of {orbit_class.name} {recalls[0]:.4f} after {recalls[1]:.4f}, {allowed:.4f} allowed"
            )
    return losses
