# SPDX-License-Identifier: GPL-3.0-or-later
"""From which score an object is called unusual, and how often ordinary objects will be.

The target is a rate of false positives: the fraction of the known population, taken as ordinary, that may be called
unusual. The threshold is that quantile of the population's scores. Its uncertainty is the bootstrap's (Efron &
Tibshirani 1993, chapter 13), and a second forest that never saw a fifth of the population shows what the rate is
among objects that are new.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from export.forest import isolation_forest
from export.forest.isolation_forest import ForestSettings

HELD_OUT_SHARE: Final = 0.2
RESAMPLES: Final = 1_000

_INTERVAL: Final = (0.025, 0.975)
_SEED: Final = 19

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a threshold does among objects that its forest never saw.

    Attributes:
        objects: how many were held out.
        rate: the fraction of them called unusual.
        interval: of the rate, 95 %, from resampling both sides.
    """

    objects: int
    rate: float
    interval: Interval


def threshold(scores: Floats, target: float) -> float:
    """The score that a fraction `target` of (N,) scores reaches."""
    return float(np.quantile(scores, 1.0 - target))


def threshold_interval(scores: Floats, target: float, resamples: int = RESAMPLES) -> Interval:
    """The 95 % bootstrap interval of the threshold of (N,) scores."""
    return _interval(_resampled_thresholds(scores, target, resamples, np.random.default_rng(_SEED)))


def held_out(columns: Floats, settings: ForestSettings, resamples: int = RESAMPLES) -> HeldOut:
    """Fit to four fifths of the population, (N, 6), and count whom the threshold calls unusual among the fifth."""
    generator = np.random.default_rng(_SEED)
    order = generator.permutation(len(columns))
    count = max(1, round(HELD_OUT_SHARE * len(columns)))
    away, seen = columns[order[:count]], columns[order[count:]]
    pipeline = isolation_forest.fit(seen, settings)
    seen_scores = isolation_forest.scores(pipeline, seen)
    away_scores = np.sort(isolation_forest.scores(pipeline, away))
    cut = threshold(seen_scores, settings.false_positive_target)
    cuts = _resampled_thresholds(seen_scores, settings.false_positive_target, resamples, generator)
    # A resampling of the fifth calls unusual a binomial number of those that reach the resampled threshold.
    reaching = 1.0 - np.searchsorted(away_scores, cuts, side="left") / count
    rates = generator.binomial(count, reaching) / count
    return HeldOut(count, float(np.mean(away_scores >= cut)), _interval(rates))


def _resampled_thresholds(scores: Floats, target: float, resamples: int, generator: np.random.Generator) -> Floats:
    """The thresholds of so many resamplings, from the order statistics alone.

    The number of draws that exceed a score is binomial, so the rank, counted in the original scores, of a resampling's
    k-th largest draw is that of the k-th smallest of N uniform numbers: beta(k, N - k + 1), exactly the bootstrap's.
    """
    falling = np.sort(scores)[::-1]
    n = len(scores)
    k = min(n, max(1, round(target * n)))
    rank = np.floor(generator.beta(k, n - k + 1, resamples) * n).astype(np.int64)
    result: Floats = falling[np.minimum(rank, n - 1)]
    return result


def _interval(values: Floats) -> Interval:
    low, high = np.quantile(values, _INTERVAL)
    return float(low), float(high)
