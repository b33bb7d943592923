# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what surveys find now distributed as what the models learnt from? Two windows of discoveries against all before.

Here both samples are at hand, so that the statistic of Kolmogorov and Smirnov is exact (scipy), not from bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from export.data.dataset import FIRST_YEAR_OF_TEST
from gateway.drift import Reference, Verdict
from gateway.drift.verdict import FALSE_ALARM_RATE, FEWEST_SAMPLES, PSI_ALARM, WINDOWS, psi

SHORT_WINDOW_YEARS: Final = 2

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Window:
    """Some objects, held against the reference.

    Attributes:
        words: which objects.
        columns: their features, each (N,).
        verdicts: one a feature; none where they are too few.
    """

    words: str
    columns: Columns
    verdicts: Sequence[Verdict]


def masks(objects: pd.DataFrame) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    """The windows by their words, the long one first, and the reference, as masks over N objects."""
    years = objects["first_reported_year"]
    newest = int(years.max())
    later = {
        f"first reported {first} to {newest}": (years >= first).fillna(value=False).to_numpy(dtype=np.bool_)
        for first in (FIRST_YEAR_OF_TEST, newest - SHORT_WINDOW_YEARS + 1)
    }
    return later, ~next(iter(later.values()))


def compare(reference: Columns, current: Columns) -> list[Verdict]:
    """All features of one window by the rules of `gateway.drift.verdict`, with the exact statistic.

    Args:
        reference: values by feature, each (M,).
        current: the same features, each (N,); no verdict where N is below `FEWEST_SAMPLES`.
    """
    names = tuple(reference)
    if len(current[names[0]]) < FEWEST_SAMPLES:
        return []
    level = FALSE_ALARM_RATE / (WINDOWS * len(names))
    bins = Reference.of(reference)
    rows = np.column_stack([np.asarray(current[name], np.float64) for name in names])
    verdicts = []
    for name, known, seen in zip(names, bins.counts, bins.count(rows), strict=True):
        exact = ks_2samp(np.asarray(reference[name], np.float64), np.asarray(current[name], np.float64))
        index, p_value = psi(known, seen), float(exact.pvalue)
        drifted = p_value < level and index >= PSI_ALARM
        verdicts.append(Verdict(name, index, float(exact.statistic), p_value, drifted))
    return verdicts


def windows(objects: pd.DataFrame, features: Columns) -> tuple[Columns, list[Window]]:
    """The reference's features, and both windows.

    Args:
        objects: of the catalogue, N rows.
        features: of the same N objects, each (N,).
    """
    later, before = masks(objects)
    reference = {name: np.asarray(values)[before] for name, values in features.items()}
    found = []
    for words, rows in later.items():
        current = {name: np.asarray(values)[rows] for name, values in features.items()}
        found.append(Window(words, current, compare(reference, current)))
    return reference, found
