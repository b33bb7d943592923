# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluator of forests: a candidate may replace the champion only where it still names the same kind of objects.

A forest has no truth to be right about. What can be held against it: that it orders the frozen objects quite otherwise
than the champion did, that it calls other objects unusual than another seed would, that ordinary objects it never saw
are called unusual more often than promised, and that objects listed as odd have left the top percent.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from export.data.dataset import Labelled
from export.forest.fused_forest import run
from export.forest.selection import TOP_FRACTION, overlaps
from export.publishing import champions
from export.publishing.forest_checks import GRAPH_FILE, TABLES_FILE
from export.publishing.publish import MANIFEST_FILE, RefusedError

LEAST_RANK_CORRELATION: Final = 0.95
"""Spearman's, over the frozen objects; two seeds have .976 there (MPC's catalogue of 2026-02)."""
LEAST_TOP_OVERLAP: Final = 0.6
"""Of the frozen objects' most unusual percent; two seeds share .90 of it."""
MOST_FALSE_POSITIVES_RATIO: Final = 1.5
"""Of the held-out rate to its target, where the whole 95 % interval lies above the target."""
MOST_LISTED_LOST: Final = 1
"""Listed objects in the champion's top percent that may be missing from the candidate's."""

Floats = NDArray[np.float64]


def check_forest_against_champion(
    folder: Path, store: Path, name: str, frozen: Labelled, listed: Floats, serving: int | None = None
) -> None:
    """Refuse a candidate that is worse than the champion.

    Args:
        folder: of the candidate.
        store: of all models.
        name: of the model.
        frozen: the objects to judge on.
        listed: orbits that ought to look unusual, (M, 6); M may be 0.
        serving: the champion's version, where it is known; else the newest one that is whole.

    Raises:
        RefusedError: names every measure that fell.
    """
    losses = _false_positives(json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))["metrics"])
    champion = champions.champion(store, name, serving)
    if champion is not None:
        champions.check_kinds(folder, champion)
        losses += _against(folder, champion, frozen.columns, listed)
    if losses:
        against = "a forest's promises" if champion is None else f"the champion, version {champion.name}"
        raise RefusedError(f"worse than {against}: {'; '.join(losses)}")


def _false_positives(metrics: Mapping[str, Any]) -> list[str]:
    target = float(metrics["false_positive_target"])
    rate = float(metrics["held_out_fraction_called_unusual"])
    low, high = (float(end) for end in metrics["held_out_interval_95"])
    if low <= target or rate <= MOST_FALSE_POSITIVES_RATIO * target:
        return []
    seen = f"{rate:.4f} [{low:.4f}, {high:.4f}] of held-out objects are called unusual"
    return [f"{seen}, {MOST_FALSE_POSITIVES_RATIO:g} times {target:g} allowed"]


def _against(folder: Path, champion: Path, columns: Floats, listed: Floats) -> list[str]:
    ours, theirs = (run(candidate / GRAPH_FILE, columns)[0] for candidate in (folder, champion))
    losses = []
    correlation = float(spearmanr(ours, theirs).statistic)
    if not correlation >= LEAST_RANK_CORRELATION:
        losses.append(f"rank correlation on the frozen objects {correlation:.4f}, at least {LEAST_RANK_CORRELATION}")
    (overlap,) = overlaps([ours, theirs])
    if overlap < LEAST_TOP_OVERLAP:
        losses.append(
            f"{overlap:.3f} of the champion's most unusual {TOP_FRACTION:.0%} kept, at least {LEAST_TOP_OVERLAP}"
        )
    if len(listed):
        lost = int((_in_top(champion, listed) & ~_in_top(folder, listed)).sum())
        if lost > MOST_LISTED_LOST:
            losses.append(
                f"{lost} of {len(listed)} listed objects have left the top percent, {MOST_LISTED_LOST} allowed"
            )
    return losses


def _in_top(folder: Path, orbits: Floats) -> NDArray[np.bool_]:
    """Which orbits reach the top percent of the population that a forest learnt from."""
    with np.load(folder / TABLES_FILE, allow_pickle=False) as tables:
        cut = np.interp(1.0 - TOP_FRACTION, tables["quantile_levels"], tables["quantile_scores"])
    reached: NDArray[np.bool_] = run(folder / GRAPH_FILE, orbits)[0] >= cut
    return reached
