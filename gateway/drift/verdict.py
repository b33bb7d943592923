# SPDX-License-Identifier: GPL-3.0-or-later
"""PSI and Kolmogorov-Smirnov from binned counts, and when they are an alarm.

An alarm needs both: a difference that chance does not make (KS, divided among all tests by Bonferroni) and one that
matters (PSI). With many objects the first alone is true of any two populations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.drift.reference import Reference

FEWEST_SAMPLES: Final = 500
FALSE_ALARM_RATE: Final = 0.01
"""Of one look at all features in all windows, if nothing has changed and samples are independent: at most."""
PSI_ALARM: Final = 0.2
"""Siddiqi 2006: below .1 nothing has happened, above .25 something has. Normals half a deviation apart have .25."""
WINDOWS: Final = 2

_TERMS: Final = 100
_EMPTY: Final = 0.5

Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one feature.

    Attributes:
        name: of the feature.
        psi: population stability index, in nats.
        ks: largest difference of the distribution functions at the bins' edges: never more than between the samples.
        p_value: of `ks` or more by chance; being from bins, never too small.
        drifted: whether it is an alarm.
    """

    name: str
    psi: float
    ks: float
    p_value: float
    drifted: bool


def psi(reference: Counts, counts: Counts) -> float:
    """Sum of (p - q) ln(p / q) over bins (Siddiqi 2006, p. 136): the symmetrised divergence of Kullback & Leibler 1951.

    An empty bin counts as half an object.
    """
    p, q = (np.maximum(each, _EMPTY) / np.maximum(each, _EMPTY).sum() for each in (counts, reference))
    return float(((p - q) * np.log(p / q)).sum())


def ks(reference: Counts, counts: Counts) -> float:
    """The statistic of Kolmogorov and Smirnov at the edges of the bins."""
    return float(np.abs(np.cumsum(counts) / counts.sum() - np.cumsum(reference) / reference.sum()).max())


def ks_p_value(statistic: float, ours: int, theirs: int) -> float:
    """The probability of so large a statistic between two samples of one continuous distribution.

    Kolmogorov's series, with the argument of Stephens 1970 (J. R. Stat. Soc. B 32:115) for samples that are not large.
    """
    root = math.sqrt(ours * theirs / (ours + theirs))
    argument = (root + 0.12 + 0.11 / root) * statistic
    if argument < 0.2:
        # The series alternates for ever here; the probability is 1 to thirteen digits.
        return 1.0
    terms = (2.0 * (-1.0) ** (k - 1) * math.exp(-2.0 * (k * argument) ** 2) for k in range(1, _TERMS + 1))
    return min(max(math.fsum(terms), 0.0), 1.0)


def judge(reference: Reference, counts: Sequence[Counts], tests: int | None = None) -> list[Verdict]:
    """All features of one window; none while there are fewer than `FEWEST_SAMPLES`.

    Args:
        reference: what the model learnt from.
        counts: of the window, by feature.
        tests: among which the rate of false alarms is divided; all features in all windows if not given.
    """
    samples = int(counts[0].sum())
    if samples < FEWEST_SAMPLES:
        return []
    level = FALSE_ALARM_RATE / (tests or WINDOWS * len(reference.names))
    verdicts = []
    for name, known, seen in zip(reference.names, reference.counts, counts, strict=True):
        index, statistic = psi(known, seen), ks(known, seen)
        p_value = ks_p_value(statistic, samples, reference.objects)
        verdicts.append(Verdict(name, index, statistic, p_value, p_value < level and index >= PSI_ALARM))
    return verdicts
