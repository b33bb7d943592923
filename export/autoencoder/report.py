# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoencoder beside the forest: which finds the known oddities, which agrees with itself, how alike they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from export.autoencoder import autoencoder
from export.autoencoder.autoencoder import AutoencoderSettings
from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.forest import isolation_forest
from export.forest.isolation_forest import ForestSettings
from export.progress import Progress

TOP: Final = 0.01
BY_RULE: Final = frozenset({"minimoon", "coorb"})
"""Reasons of the list of oddities that the rule tags are for, not the detectors."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector's figures.

    Attributes:
        recall: fraction of the listed objects in its top `TOP`, of the first seed; NaN without a list.
        missed: designations of those that are not.
        seed_overlap: mean share of the top `TOP` that two seeds have in common.
    """

    recall: float
    missed: tuple[str, ...]
    seed_overlap: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both detectors on one population of so many objects, and how alike their first seeds are."""

    objects: int
    listed: int
    forest: Detector
    autoencoder: Detector
    rank_correlation: float
    top_overlap: float


def top(scores: Floats) -> NDArray[np.bool_]:
    """Which objects are in the top `TOP`."""
    return scores >= np.quantile(scores, 1.0 - TOP)


def _overlap(one: Floats, other: Floats) -> float:
    return float(np.sum(top(one) & top(other)) / np.sum(top(one)))


def _listed(catalogue: Catalogue, odd: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
    """Rows of the listed objects, by number or designation; those the catalogue lacks are left out."""
    wanted = {name for reason, names in odd.items() if reason not in BY_RULE for name in names}
    designations = catalogue.objects["designation"].astype(str)
    numbers = catalogue.objects["number"].astype("string").fillna("")
    return np.flatnonzero((designations.isin(wanted) | numbers.isin(wanted)).to_numpy(dtype=np.bool_))


def _detector(catalogue: Catalogue, by_seed: Sequence[Floats], listed: NDArray[np.int64]) -> Detector:
    found = top(by_seed[0])[listed]
    missed = tuple(catalogue.objects["designation"].astype(str).iloc[listed[~found]])
    pairs = [(one, two) for number, one in enumerate(by_seed) for two in by_seed[number + 1 :]]
    recall = float(found.mean()) if len(listed) else float("nan")
    return Detector(recall, missed, float(np.mean([_overlap(*pair) for pair in pairs])))


def compare(
    catalogue: Catalogue,
    odd: Mapping[str, Sequence[str]],
    forest: ForestSettings,
    settings: AutoencoderSettings,
    progress: Progress,
    *,
    seeds: Sequence[int] = (11, 12),
) -> Comparison:
    """Fit both to the population once a seed and compare their scores.

    Args:
        catalogue: the population.
        odd: reason -> designations or numbers of objects known to be unusual; empty for none.
        forest: of the forest, but for the seed.
        settings: of the autoencoder, but for the seed.
        progress: told what is being done.
        seeds: two or more.
    """
    columns = catalogue.objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    by_forest, by_error = [], []
    for number, seed in enumerate(seeds):
        progress(f"forest, seed {seed}", number / len(seeds))
        by_forest.append(isolation_forest.scores(isolation_forest.fit(columns, replace(forest, seed=seed)), columns))
        fitted = autoencoder.fit(columns, replace(settings, seed=seed), progress)
        by_error.append(autoencoder.errors(fitted, columns))
    listed = _listed(catalogue, odd)
    return Comparison(
        objects=len(columns),
        listed=len(listed),
        forest=_detector(catalogue, by_forest, listed),
        autoencoder=_detector(catalogue, by_error, listed),
        rank_correlation=float(spearmanr(by_forest[0], by_error[0]).statistic),
        top_overlap=_overlap(by_forest[0], by_error[0]),
    )


def to_markdown(found: Comparison, provenance: str) -> str:
    """The page of the documentation."""

    def line(what: str, forest: str, other: str) -> str:
        return f"| {what} | {forest} | {other} |"

    one, two = found.forest, found.autoencoder
    recalls = [f"{detector.recall:.3f}" if found.listed else "no list given" for detector in (one, two)]
    missed = [", ".join(detector.missed) or "none" for detector in (one, two)]
    return "\n".join(
        [
            "# Two anomaly detectors side by side",
            "",
            "Written by `python -m export anomaly-comparison`; do not edit by hand.",
            "",
            f"Population: {provenance}. Both see the same seven features of {found.objects:,} objects. The list holds",
            f"{found.listed} objects known to be unusual by their orbits or size; minimoons and co-orbitals are not on",
            "it, they are tagged by rule.",
            "",
            "| measure | Isolation Forest | autoencoder |",
            "|---|---:|---:|",
            line("listed objects in the top 1 %", *recalls),
            line("of them missed", *missed),
            line("top 1 % shared by two seeds", f"{one.seed_overlap:.3f}", f"{two.seed_overlap:.3f}"),
            "",
            f"Rank correlation of the two (Spearman): {found.rank_correlation:.3f}. Share of the forest's top 1 % that",
            f"is also the autoencoder's: {found.top_overlap:.3f}.",
            "",
            "The forest is what the gateway serves; the autoencoder is published only when asked for.",
            "",
        ]
    )


def write(found: Comparison, provenance: str, path: Path) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_markdown(found, provenance), encoding="utf-8")
