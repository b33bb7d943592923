# SPDX-License-Identifier: GPL-3.0-or-later
"""All that was measured of one classifier: goes into the manifest as `metrics`, and into the model card.

Keys of the manifest's `metrics`:

- `by_date`, `by_date_before_pruning`, `random_split`: `export.evaluation.metrics.classifier_metrics` on real objects
  first reported from `first_year` on, with the model as served and with the dense one in float32, and on the random
  test part of the training population. Each has `all`, `h_at_most_22` (numbers by metric, `confusion`) and
  `orbit_class` (`accuracy`, `confusion`, `agreement` by distance from the cuts).
- `intervals`: `all` and `h_at_most_22` -> metric -> [low, high], 95 % by bootstrap, as served, by date.
- `calibration_error_by_chance`: the same two -> [low, high], what a perfectly calibrated model would show.
- `curves`: `all` and `h_at_most_22` -> `precision_recall` (rows of recall, precision), `reliability` (rows of mean
  stated probability, frequency, objects), `histogram` (rows of lower edge, hazardous, others).
- `history`: one row an epoch: `stage`, `epoch`, `loss`, `val_loss` and the losses of both heads.
- `comparisons`: name of the other model -> `all` and `h_at_most_22` -> `export.evaluation.comparison.compare`;
  positive is in our favour; `refused` and why, where the version before was found damaged.
- `folds`: one row a fold of the training population, `export.classifier.cross_validation`; empty where not asked for.
- `temperature`, `threshold`, `first_year`, `resamples`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from export.data.dataset import Labelled
from export.evaluation import bootstrap
from export.evaluation.metrics import CALIBRATION_BINS
from gateway.neo.hazard import PHA_MAX_ABSOLUTE_MAGNITUDE_H

PARTS: Final = {"all": "all objects", "h_at_most_22": "H <= 22"}

_CURVE_POINTS: Final = 200
_HISTOGRAM_BINS: Final = 40

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """See the module for what each holds; everything in it is plain JSON."""

    by_date: dict[str, Any]
    by_date_before_pruning: dict[str, Any]
    random_split: dict[str, Any]
    intervals: dict[str, dict[str, list[float]]]
    calibration_error_by_chance: dict[str, list[float]]
    curves: dict[str, dict[str, list[list[float]]]]
    history: list[dict[str, Any]]
    temperature: float
    threshold: float
    first_year: int
    resamples: int
    comparisons: dict[str, dict[str, Any]] = field(default_factory=dict)
    folds: list[dict[str, Any]] = field(default_factory=list)

    def to_metrics(self) -> dict[str, Any]:
        """What the manifest keeps."""
        return asdict(self)

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> "ClassifierReport":
        """The report that a manifest keeps.

        Raises:
            TypeError: a key is missing, or one too many.
        """
        return cls(**metrics)


def parts(data: Labelled) -> dict[str, NDArray[np.bool_]]:
    """The rows of each part of `PARTS`."""
    return {"all": np.ones(len(data), np.bool_), "h_at_most_22": data.columns[:, 5] <= PHA_MAX_ABSOLUTE_MAGNITUDE_H}


def uncertainty(
    data: Labelled, probability: Floats, threshold: float, resamples: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, list[float]]]:
    """`intervals` and `calibration_error_by_chance` of one set of N objects and its probabilities of shape (N,)."""
    rows = parts(data)
    return (
        {
            part: bootstrap.intervals(data.hazardous[chosen], probability[chosen], threshold, resamples)
            for part, chosen in rows.items()
        },
        {
            part: bootstrap.calibration_error_of_the_calibrated(probability[chosen], resamples)
            for part, chosen in rows.items()
        },
    )


def curves(data: Labelled, probability: Floats) -> dict[str, dict[str, list[list[float]]]]:
    """What the figures draw, for each part that has objects of both kinds."""
    found = {}
    for part, chosen in parts(data).items():
        truth, stated = data.hazardous[chosen], probability[chosen].astype(np.float64)
        if truth.any() and not truth.all():
            found[part] = {
                "precision_recall": _precision_recall(truth, stated),
                "reliability": _reliability(truth, stated),
                "histogram": _histogram(truth, stated),
            }
    return found


def _precision_recall(truth: NDArray[np.bool_], stated: Floats) -> list[list[float]]:
    precision, recall, _ = precision_recall_curve(truth, stated)
    # From all found to none found; the long tail of thresholds that find all is one point.
    first = int(np.flatnonzero(recall == 1.0)[-1])
    kept = np.unique(np.linspace(first, len(recall) - 1, _CURVE_POINTS).round().astype(np.int64))
    return [[float(recall[row]), float(precision[row])] for row in kept]


def _reliability(truth: NDArray[np.bool_], stated: Floats) -> list[list[float]]:
    which = np.minimum((stated * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(which, minlength=CALIBRATION_BINS)
    means = np.bincount(which, stated, CALIBRATION_BINS) / np.maximum(counts, 1)
    seen = np.bincount(which, truth.astype(np.float64), CALIBRATION_BINS) / np.maximum(counts, 1)
    return [[float(m), float(s), float(c)] for m, s, c in zip(means, seen, counts, strict=True) if c]


def _histogram(truth: NDArray[np.bool_], stated: Floats) -> list[list[float]]:
    edges = np.linspace(0.0, 1.0, _HISTOGRAM_BINS + 1)
    hazardous, others = (np.histogram(stated[rows], edges)[0] for rows in (truth, ~truth))
    return [[float(edge), float(h), float(o)] for edge, h, o in zip(edges[:-1], hazardous, others, strict=True)]
