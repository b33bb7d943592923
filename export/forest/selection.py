# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a forest: measured by how far two seeds agree on the most unusual percent, at the least cost.

Two forests that differ in their seed alone should name the same objects. The rule: of the sizes whose mean overlap of
the top percent reaches the goal, and that find the known oddities where a list of them is given, the one with the
fewest splits, which is what storing, scoring and explaining cost.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.evaluation.metrics import share_in_top
from export.forest import isolation_forest
from export.forest.isolation_forest import ForestSettings
from export.progress import Progress

TOP_FRACTION: Final = 0.01
OVERLAP_GOAL: Final = 0.85
RECALL_GOAL: Final = 0.95
# Trees and samples of each: a smaller forest of larger trees costs as much as a larger one of smaller trees.
SIZES: Final = (
    *((trees, 256) for trees in (100, 300, 1000)),
    *((trees, 1024) for trees in (100, 300, 500, 1000)),
    *((trees, 4096) for trees in (100, 150, 200, 300, 500, 1000)),
    *((trees, 8192) for trees in (100, 150)),
    *((trees, 16384) for trees in (100, 300, 500)),
)
SEEDS: Final = (11, 12, 13)

# Kinds that no detector of unlike orbits can find, for their orbits are like the Earth's: they are tagged by rule.
BLIND_SPOTS: Final = frozenset({"minimoon", "coorb"})

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one size was measured to do.

    Attributes:
        trees: how many.
        max_samples: objects each tree saw.
        splits: in all trees, mean of the seeds.
        overlap: share of the top percent that two seeds have in common, mean of all pairs.
        least_overlap: of the worst pair.
        core_recall: share of the listed oddities in the top percent, by seed; empty without a list.
    """

    trees: int
    max_samples: int
    splits: float
    overlap: float
    least_overlap: float
    core_recall: tuple[float, ...]


def top(scores: Floats, fraction: float = TOP_FRACTION) -> NDArray[np.int64]:
    """The places of the most unusual fraction of N scores; of equal scores the earlier ones."""
    count = max(1, round(fraction * len(scores)))
    return np.argsort(-scores, kind="stable")[:count]


def overlaps(scores_by_seed: Sequence[Floats], fraction: float = TOP_FRACTION) -> list[float]:
    """For each pair of seeds, the share of one's top fraction that is in the other's."""
    tops = [top(scores, fraction) for scores in scores_by_seed]
    return [len(np.intersect1d(one, other)) / len(one) for one, other in itertools.combinations(tops, 2)]


def known_rows(objects: pd.DataFrame, oddities: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Which of N objects are listed, by designation or number, among the kinds that a detector can see."""
    names = [name for kind, listed in oddities.items() if kind not in BLIND_SPOTS for name in listed]
    listed = objects["designation"].isin(names) | objects["number"].astype(str).isin(names)
    result: NDArray[np.bool_] = listed.to_numpy(dtype=np.bool_)
    return result


def try_size(
    objects: pd.DataFrame, settings: Sequence[ForestSettings], oddities: Mapping[str, Sequence[str]] | None
) -> Trial:
    """Grow one forest a setting, which differ in their seeds alone, and compare what they say of all objects."""
    columns = objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    known = known_rows(objects, oddities) if oddities else np.zeros(len(objects), np.bool_)
    by_seed, splits, recalls = [], [], []
    for setting in settings:
        pipeline = isolation_forest.fit(columns, setting)
        scores = isolation_forest.scores(pipeline, columns)
        by_seed.append(scores)
        splits.append(sum(int((tree.tree_.children_left >= 0).sum()) for tree in pipeline["forest"].estimators_))
        if known.any():
            recalls.append(share_in_top(scores, scores[known], TOP_FRACTION))
    shared = overlaps(by_seed)
    return Trial(
        trees=settings[0].trees,
        max_samples=settings[0].max_samples,
        splits=float(np.mean(splits)),
        overlap=float(np.mean(shared)),
        least_overlap=min(shared),
        core_recall=tuple(recalls),
    )


def choose(trials: Sequence[Trial]) -> Trial:
    """The trial with the fewest splits of those that reach the goals; else the one of the largest overlap."""
    enough = [
        trial
        for trial in trials
        if trial.overlap >= OVERLAP_GOAL and (not trial.core_recall or np.mean(trial.core_recall) >= RECALL_GOAL)
    ]
    if not enough:
        return max(trials, key=lambda trial: trial.overlap)
    return min(enough, key=lambda trial: trial.splits)


def select_forest(
    catalogue: Catalogue,
    document: Path,
    progress: Progress,
    oddities: Mapping[str, Sequence[str]] | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Trial:
    """Try all sizes on a catalogue, write the table as Markdown, and say which size the rule chooses."""
    trials = []
    for number, (trees, max_samples) in enumerate(sizes):
        progress(f"{trees} trees of {max_samples} samples", number / len(sizes))
        seeds = [ForestSettings(trees=trees, max_samples=max_samples, seed=seed) for seed in SEEDS]
        trials.append(try_size(catalogue.objects, seeds, oddities))
    chosen = choose(trials)
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(_markdown(catalogue, trials, chosen, listed=bool(oddities)), encoding="utf-8")
    progress("forest selected", 1.0)
    return chosen


_INTRO: Final = """
# How large a forest

Written by `export.forest.selection.select_forest`. {population}.

Overlap: the share of the most unusual {top:.0%} that forests of two seeds have in common; mean and worst of the pairs
of {seeds} seeds. The rule: of the sizes whose mean overlap is {goal} or more (and whose mean core recall is
{recall_goal} or more, where there is a list), the one with the fewest splits, which is what storing, scoring and
explaining cost.
"""

_ABOUT_RECALL: Final = """
Core recall: the share of a development list of known oddities (without co-orbitals and minimoons, which are tagged by
rule) in that percent, by seed. The list was at hand while features and sizes were chosen: these figures are no estimate
of what is found among oddities not on it, and with so few names one object is several percent.
"""


def _markdown(catalogue: Catalogue, trials: Sequence[Trial], chosen: Trial, *, listed: bool) -> str:
    intro = _INTRO.format(
        population=catalogue.provenance.description,
        top=TOP_FRACTION,
        seeds=len(SEEDS),
        goal=OVERLAP_GOAL,
        recall_goal=RECALL_GOAL,
    )
    lines = [intro.strip(), "", *([_ABOUT_RECALL.strip(), ""] if listed else [])]
    lines += [
        "| trees | max_samples | splits | overlap | worst pair | core recall |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for trial in trials:
        mark = "**" if trial is chosen else ""
        cells = (
            f"{trial.trees:,}",
            f"{trial.max_samples:,}",
            f"{trial.splits:,.0f}",
            f"{trial.overlap:.3f}",
            f"{trial.least_overlap:.3f}",
            ", ".join(f"{recall:.3f}" for recall in trial.core_recall) or "-",
        )
        lines.append("| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |")
    return "\n".join([*lines, "", "Bold: what the rule chooses.", ""])
