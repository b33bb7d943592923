# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of the forest's size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from export.data.catalogue import Catalogue
from export.forest import selection
from export.forest.selection import Trial
from tests.trained import quiet


def trial(splits: float, overlap: float) -> Trial:
    return Trial(100, 256, splits, overlap, overlap, ())


def test_overlap_counts_shared_members_of_the_top() -> None:
    one = np.arange(100.0)
    other = one.copy()
    other[99] = -1.0
    assert selection.top(one, 0.04).tolist() == [99, 98, 97, 96]
    assert selection.overlaps([one, other, one], 0.04) == [0.75, 1.0, 0.75]


def test_the_cheapest_that_reaches_the_goals_is_chosen() -> None:
    trials = [trial(10, 0.80), trial(30, 0.85), trial(20, 0.86), trial(90, 0.95)]
    assert selection.choose(trials) is trials[2]
    blind = replace(trials[2], core_recall=(0.9, 0.95))
    assert selection.choose([blind, *trials[:2]]) is trials[1]
    assert selection.choose([trials[0], trial(5, 0.7)]) is trials[0]


def test_blind_spots_are_not_held_against_a_forest() -> None:
    objects = pd.DataFrame(
        {"designation": ["2020 BZ12", "1991 VG", "x", "y"], "number": pd.array([None, None, 3552, 1036], "Int64")}
    )
    odd = {"retro": ["2020 BZ12"], "minimoon": ["1991 VG"], "longper": ["3552"]}
    assert selection.known_rows(objects, odd).tolist() == [True, False, True, False]


def test_sizes_are_tried_and_written_down(tiny_catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "models" / "forest-selection.md"
    listed = {"odd": tiny_catalogue.objects["designation"].tolist()[:2]}
    chosen = selection.select_forest(tiny_catalogue, path, quiet, listed, sizes=((20, 64), (60, 256)))
    text = path.read_text()
    assert text.count("\n| ") == 3
    assert f"**{chosen.trees}**" in text
    assert len(chosen.core_recall) == len(selection.SEEDS)
    # A tree of n samples has n - 1 splits at most, and fewer as its depth is bounded.
    assert 0.1 * chosen.max_samples < chosen.splits / chosen.trees < chosen.max_samples
