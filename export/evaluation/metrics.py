# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the models are, in numbers that do not flatter.

Average precision is the judge: hazardous objects are few, and by date -H alone reaches a ROC-AUC of .936. Everything
is also computed on H <= 22, where brightness cannot answer and only geometry helps.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

from gateway.neo.hazard import PHA_MAX_ABSOLUTE_MAGNITUDE_H
from gateway.neo.orbit_class import APOLLO_MAX_PERIHELION_AU, ATIRA_MAX_APHELION_AU

CALIBRATION_BINS: Final = 15
PRECISION_ASKED: Final = 0.9
BOUNDARY_DISTANCES_AU: Final = (0.0, 0.001, 0.002, 0.005, 0.01)

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]


def expected_calibration_error(truth: Booleans, probability: Floats, bins: int = CALIBRATION_BINS) -> float:
    """Mean gap between stated probability and frequency, weighted by objects (Naeini et al. 2015, AAAI, eq. 3)."""
    which = np.minimum((probability * bins).astype(np.int64), bins - 1)
    counts = np.bincount(which, minlength=bins)
    stated = np.bincount(which, weights=probability, minlength=bins)
    seen = np.bincount(which, weights=truth.astype(np.float64), minlength=bins)
    return float(np.abs(stated - seen).sum() / counts.sum())


def recall_at_precision(truth: Booleans, probability: Floats, precision_asked: float = PRECISION_ASKED) -> float:
    """The largest recall of any threshold whose precision is at least the asked one; 0 where none is."""
    precision, recall, _ = metrics.precision_recall_curve(truth, probability)
    return float(recall[precision >= precision_asked].max(initial=0.0))


def best_f1_threshold(truth: Booleans, probability: Floats) -> float:
    """The threshold with the largest F1; a probability at the threshold counts as positive."""
    precision, recall, thresholds = metrics.precision_recall_curve(truth, probability)
    total = np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return float(thresholds[np.argmax((2.0 * precision * recall / total)[:-1])])


def hazard_metrics(truth: Booleans, probability: Floats, threshold: float) -> dict[str, Any]:
    """Metrics of a hazard probability; only the counts where all objects are of one kind.

    `confusion` has the truth in rows and the verdict in columns, not hazardous first.

    Args:
        truth: shape (N,).
        probability: shape (N,).
        threshold: from which a probability counts as hazardous.
    """
    counts = {"objects": float(len(truth)), "hazardous": float(truth.sum())}
    if truth.all() or not truth.any():
        return counts
    chosen = probability >= threshold
    return {
        **counts,
        "average_precision": float(metrics.average_precision_score(truth, probability)),
        "roc_auc": float(metrics.roc_auc_score(truth, probability)),
        "log_loss": float(metrics.log_loss(truth, probability)),
        "brier": float(metrics.brier_score_loss(truth, probability)),
        "expected_calibration_error": expected_calibration_error(truth, probability),
        "recall_at_precision_90": recall_at_precision(truth, probability),
        "precision": float(metrics.precision_score(truth, chosen, zero_division=0.0)),
        "recall": float(metrics.recall_score(truth, chosen)),
        "f1": float(metrics.f1_score(truth, chosen)),
        "confusion": metrics.confusion_matrix(truth, chosen, labels=[False, True]).tolist(),
    }


def class_metrics(truth: NDArray[np.int64], probabilities: Floats) -> dict[str, Any]:
    """Accuracy and confusion (rows: true class, columns: predicted) of shape (N,) classes and (N, C) probabilities.

    Empty where there are no objects.
    """
    if not len(truth):
        return {}
    predicted = probabilities.argmax(axis=1)
    labels = np.arange(probabilities.shape[1])
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
    }


def boundary_distance_au(perihelion_distance_au: Floats, eccentricity: Floats) -> Floats:
    """How far orbits of the four classes are from the nearest cut that could change their class.

    Cuts: the semi-major axis at 1 au; for smaller ones also Q at 0.983 au, for the others q at 1.017 au. The outer
    limit q = 1.3 au is no cut between two classes of the network.

    Args:
        perihelion_distance_au: q, shape (N,).
        eccentricity: e below 1, shape (N,).
    """
    axis_au = perihelion_distance_au / (1.0 - eccentricity)
    aphelion_gap_au = np.abs(axis_au * (1.0 + eccentricity) - ATIRA_MAX_APHELION_AU)
    perihelion_gap_au = np.abs(perihelion_distance_au - APOLLO_MAX_PERIHELION_AU)
    distance_au: Floats = np.minimum(np.abs(axis_au - 1.0), np.where(axis_au < 1.0, aphelion_gap_au, perihelion_gap_au))
    return distance_au


def class_agreement(columns: Floats, truth: NDArray[np.int64], probabilities: Floats) -> list[dict[str, float]]:
    """How often the class head says what the exact rule says, farther and farther from the cuts.

    Args:
        columns: of `MODEL_COLUMNS`, shape (N, 6).
        truth: index of the class by the rule, shape (N,).
        probabilities: shape (N, 4).

    Returns:
        For each of `BOUNDARY_DISTANCES_AU` the objects at least so far away, those in disagreement, and the share that
        agrees (left out where there are no objects).
    """
    distance_au = boundary_distance_au(columns[:, 0], columns[:, 1])
    wrong = probabilities.argmax(axis=1) != truth
    rows = []
    for limit_au in BOUNDARY_DISTANCES_AU:
        away = distance_au >= limit_au
        row = {"farther_than_au": limit_au, "objects": float(away.sum()), "disagree": float(wrong[away].sum())}
        rows.append({**row, "agreement": 1.0 - row["disagree"] / row["objects"]} if away.any() else row)
    return rows


def classifier_metrics(
    columns: Floats,
    hazardous: Booleans,
    orbit_class: NDArray[np.int64],
    predictions: Mapping[str, Floats],
    threshold: float,
) -> dict[str, Any]:
    """All metrics of the classifier on one set of N objects.

    Args:
        columns: of `MODEL_COLUMNS`, shape (N, 6).
        hazardous: shape (N,), by the definition.
        orbit_class: shape (N,), index of the class.
        predictions: `pha_probability` (N,) and `class_probabilities` (N, 4).
        threshold: from which a probability counts as hazardous.
    """
    probability = predictions["pha_probability"]
    bright = columns[:, 5] <= PHA_MAX_ABSOLUTE_MAGNITUDE_H
    return {
        "all": hazard_metrics(hazardous, probability, threshold),
        "h_at_most_22": hazard_metrics(hazardous[bright], probability[bright], threshold),
        "orbit_class": {
            **class_metrics(orbit_class, predictions["class_probabilities"]),
            "agreement": class_agreement(columns, orbit_class, predictions["class_probabilities"]),
        },
    }


def share_in_top(population: ArrayLike, scores: ArrayLike, fraction: float) -> float:
    """Which share of some scores reaches the top fraction of a population's."""
    cut = np.quantile(np.asarray(population), 1.0 - fraction)
    return float(np.mean(np.asarray(scores) >= cut))
