# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of two models is better, judged on the very same objects."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from export.evaluation import bootstrap

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]


def mcnemar(truth: Booleans, ours: Booleans, theirs: Booleans) -> dict[str, float]:
    """The exact test of McNemar 1947 (Psychometrika 12:153) on two verdicts about N objects, each of shape (N,).

    Returns:
        Objects that only we have right, objects that only they have right, and the two-sided probability of so uneven
        a division by chance; 1 where there is nothing to divide.
    """
    we_are_right, they_are_right = ours == truth, theirs == truth
    only_ours, only_theirs = int((we_are_right & ~they_are_right).sum()), int((they_are_right & ~we_are_right).sum())
    divided = only_ours + only_theirs
    p_value = float(binomtest(only_ours, divided).pvalue) if divided else 1.0
    return {"only_ours_right": float(only_ours), "only_theirs_right": float(only_theirs), "p_value": p_value}


def compare(
    truth: Booleans,
    ours: tuple[Floats, float],
    theirs: tuple[Floats, float],
    resamples: int = bootstrap.RESAMPLES,
    seed: int = bootstrap.SEED,
) -> dict[str, Any]:
    """Two hazard probabilities with their thresholds; positive differences are in our favour.

    The difference of average precisions by the paired bootstrap: both models see the same draws. `p_value` is twice
    the smaller share of draws on either side of zero, and never below 1 in the number of draws.

    Args:
        truth: shape (N,), both kinds present.
        ours: probabilities of shape (N,) and the threshold of the verdict.
        theirs: the same.
        resamples: how many draws.
        seed: of the draws.
    """
    samples = [bootstrap.Sample(truth, probability, threshold) for probability, threshold in (ours, theirs)]
    once = np.ones((1, len(truth)), np.int64)
    precisions = [float(sample.measure(once)["average_precision"][0]) for sample in samples]
    differences = np.concatenate(
        [
            np.subtract(*(sample.measure(counts)["average_precision"] for sample in samples))
            for counts in bootstrap.draws(len(truth), resamples, seed)
        ]
    )
    tail = min(float(np.mean(differences <= 0.0)), float(np.mean(differences >= 0.0)))
    verdicts = [probability >= threshold for probability, threshold in (ours, theirs)]
    return {
        "average_precision": {
            "ours": precisions[0],
            "theirs": precisions[1],
            "difference": precisions[0] - precisions[1],
            "interval": bootstrap.interval(differences),
            "p_value": min(max(2.0 * tail, 1.0 / resamples), 1.0),
        },
        "mcnemar": mcnemar(truth, *verdicts),
    }
