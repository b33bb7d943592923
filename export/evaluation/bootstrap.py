# SPDX-License-Identifier: GPL-3.0-or-later
"""How sure the figures are: the same metrics on many resamplings of the judging objects, all at once.

Percentile intervals of the non-parametric bootstrap (Efron & Tibshirani 1993, chapter 13). A resampling is the number
of times each object is drawn; every metric is computed from such counts, so that none needs sorting again.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.evaluation.metrics import CALIBRATION_BINS, PRECISION_ASKED

RESAMPLES: Final = 1_000
SEED: Final = 17

_INTERVAL_PERCENT: Final = (2.5, 97.5)
_RESAMPLES_AT_ONCE: Final = 25

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]


class Sample:
    """One set of judged objects, made ready for resampling."""

    def __init__(self, truth: Booleans, probability: Floats, threshold: float) -> None:
        """Sort once.

        Args:
            truth: shape (N,).
            probability: shape (N,).
            threshold: from which a probability counts as hazardous.
        """
        stated = probability.astype(np.float64)
        self._order = np.argsort(-stated, kind="stable")
        falling = stated[self._order]
        self._truth = truth[self._order].astype(np.float64)
        # Equal probabilities are one step of every curve.
        self._ends = np.flatnonzero(np.append(np.diff(falling) != 0.0, True))
        self._chosen = int((falling >= threshold).sum())
        bins = np.minimum((falling * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        self._gaps = np.zeros((len(falling), CALIBRATION_BINS))
        self._gaps[np.arange(len(falling)), bins] = falling - self._truth
        smallest = np.finfo(probability.dtype).eps
        likelihood = np.clip(np.where(self._truth == 1.0, falling, 1.0 - falling), smallest, 1.0)
        self._losses = np.stack([(falling - self._truth) ** 2, -np.log(likelihood)], axis=1)

    def measure(self, counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """The metrics of B resamplings, each of shape (B,).

        Args:
            counts: how often each object is drawn, shape (B, N).
        """
        weights = counts[:, self._order].astype(np.float64)
        hits_to_row = np.cumsum(weights * self._truth, axis=1)
        rows_to_row = np.cumsum(weights, axis=1)
        hits, rows = hits_to_row[:, self._ends], rows_to_row[:, self._ends]
        total, misses = np.maximum(hits[:, -1:], 1.0), rows - hits
        precision = hits / np.maximum(rows, 1.0)
        steps = np.diff(hits, axis=1, prepend=0.0)
        area = (np.diff(misses, axis=1, prepend=0.0) * (hits - steps / 2.0)).sum(axis=1)
        drawn = rows[:, -1]
        last = self._chosen - 1
        found, called = (hits_to_row[:, last], rows_to_row[:, last]) if self._chosen else (0.0 * drawn, 0.0 * drawn)
        brier, log_loss = (weights @ self._losses).T / drawn
        return {
            "average_precision": (steps * precision).sum(axis=1) / total[:, 0],
            "roc_auc": area / (total[:, 0] * np.maximum(misses[:, -1], 1.0)),
            "recall_at_precision_90": np.where(precision >= PRECISION_ASKED, hits, 0.0).max(axis=1) / total[:, 0],
            "f1": 2.0 * found / np.maximum(called + hits[:, -1], 1.0),
            "brier": brier,
            "log_loss": log_loss,
            "expected_calibration_error": np.abs(weights @ self._gaps).sum(axis=1) / drawn,
        }


def draws(objects: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Seeded resamplings as counts of shape (some, objects), a block at a time."""
    random = np.random.default_rng(seed)
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        block = min(_RESAMPLES_AT_ONCE, resamples - start)
        rows = random.integers(objects, size=(block, objects)) + objects * np.arange(block)[:, None]
        yield np.bincount(rows.ravel(), minlength=block * objects).reshape(block, objects)


def interval(values: NDArray[np.float64]) -> list[float]:
    """The middle 95 %."""
    return [float(bound) for bound in np.percentile(values, _INTERVAL_PERCENT)]


def intervals(
    truth: Booleans, probability: Floats, threshold: float, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, list[float]]:
    """95 % intervals, [low, high] a metric; empty where all N objects are of one kind.

    Args:
        truth: shape (N,).
        probability: shape (N,).
        threshold: from which a probability counts as hazardous.
        resamples: how many.
        seed: of the draws.
    """
    if truth.all() or not truth.any():
        return {}
    sample = Sample(truth, probability, threshold)
    blocks = [sample.measure(counts) for counts in draws(len(truth), resamples, seed)]
    return {name: interval(np.concatenate([block[name] for block in blocks])) for name in blocks[0]}


def calibration_error_of_the_calibrated(
    probability: Floats, resamples: int = RESAMPLES, seed: int = SEED
) -> list[float]:
    """The 95 % interval of the calibration error that chance alone gives: truths drawn with the stated probabilities.

    A measured error inside it is no sign of a wrong calibration.
    """
    if not len(probability):
        return []
    random = np.random.default_rng(seed)
    stated = probability.astype(np.float64)
    gaps = np.zeros((len(stated), CALIBRATION_BINS))
    gaps[np.arange(len(stated)), np.minimum((stated * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)] = 1.0
    errors = [np.abs((stated - (random.random(len(stated)) < stated)) @ gaps).sum() for _ in range(resamples)]
    return interval(np.array(errors) / len(stated))
