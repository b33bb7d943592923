# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the figures move when another part of the training population is held out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from scipy.special import expit

from export.classifier.training import Training, train
from export.data.dataset import Labelled, Split
from export.evaluation import metrics

FOLDS: Final = 5
_THRESHOLD: Final = 0.5
_SEED: Final = 23
# Of the rows that a fold does not judge, so many in one stop its training early.
_VALIDATION_FRACTION: Final = 0.15


def folds_of(rows: int, folds: int, seed: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Row numbers in disjoint, seeded, nearly equal parts."""
    return [part.astype(np.int64) for part in np.array_split(np.random.default_rng(seed).permutation(rows), folds)]


def cross_validate(
    data: Labelled, training: Training, progress: Callable[[str, float], None], folds: int = FOLDS
) -> list[dict[str, Any]]:
    """Train the dense network once a fold, on all other folds, and judge it on that one.

    Args:
        data: the training population, or a part of it.
        training: the schedule; nothing is pruned.
        progress: told after every epoch.
        folds: how many.

    Returns:
        A row a fold: `fold`, `average_precision` and its like on all its rows, `real` on its real ones alone, and
        `class_accuracy`.
    """
    parts = folds_of(len(data), folds, _SEED)
    rows = []
    for number, judged in enumerate(parts):

        def report(what: str, fraction: float, number: int = number) -> None:
            progress(f"fold {number + 1} of {folds}, {what}", (number + fraction) / folds)

        others = np.concatenate([part for other, part in enumerate(parts) if other != number])
        stopping = round(_VALIDATION_FRACTION * len(others))
        split = Split(data.take(others[stopping:]), data.take(others[:stopping]), data.take(judged))
        network, _ = train(split, replace(training, pruning_epochs=0), report)
        hazard, classes = network.logits(split.test.columns)
        probability = expit(hazard.astype(np.float64))
        real = split.test.real
        rows.append(
            {
                "fold": number + 1,
                **metrics.hazard_metrics(split.test.hazardous, probability, _THRESHOLD),
                "real": metrics.hazard_metrics(split.test.hazardous[real], probability[real], _THRESHOLD),
                "class_accuracy": float(np.mean(classes.argmax(axis=1) == split.test.orbit_class)),
            }
        )
    return rows
