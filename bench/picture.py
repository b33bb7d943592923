# SPDX-License-Identifier: GPL-3.0-or-later
"""The figure of docs/accuracy.md: how far each close approach is from JPL's."""

from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_KNOWN: Final = "#1b6ca8"
_POOR: Final = "#e08e1b"
_GOAL: Final = "#2e8b57"
_FLOOR_KM: Final = 1e-4
_FLOOR_S: Final = 1e-5
# Labels nearer to each other than this would overlap.
_LABEL_RATIO: Final = 2.0


def draw(table: pd.DataFrame, path: Path, goal_km: float, goal_s: float) -> None:
    """Draw time against distance, and distance against the years from the epoch.

    Args:
        table: one row a close approach, as `bench.accuracy.as_table` makes it.
        path: of the PNG; replaced.
        goal_km: shown as a limit.
        goal_s: likewise.
    """
    distance_km = np.maximum(table["distance_km"].abs().to_numpy(), _FLOOR_KM)
    time_s = np.maximum(table["time_s"].abs().to_numpy(), _FLOOR_S)
    years = table["years"].abs().to_numpy()
    known = table["code"].isin(list("0123")).to_numpy()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.8), constrained_layout=True, sharey=True)
    for chosen, colour, label in ((~known, _POOR, "condition code 4 to 9"), (known, _KNOWN, "condition code 0 to 3")):
        for axes, across in ((left, time_s), (right, years)):
            axes.plot(
                across[chosen], distance_km[chosen], ".", color=colour, markersize=3.0, alpha=0.55, label=label, mew=0
            )
    _finish(left, "time: |ours - JPL's|, s", goal_km)
    _finish(right, "years between epoch and approach", goal_km)
    left.axvline(goal_s, color=_GOAL, linewidth=1.0, linestyle="--")
    left.set_ylabel("distance: |ours - JPL's|, km")
    share = 100 * table["good"].mean()
    left.set_title(f"{len(table):,} approaches to Earth in 2020: {share:.1f} % within both limits", fontsize=10)
    right.set_title("the same, by how far the elements were propagated", fontsize=10)
    right.set_xlim(2e-3, 30.0)
    _name_outliers(table, left, time_s, distance_km, goal_s)
    left.legend(loc="lower right", fontsize=8, framealpha=0.9, markerscale=3)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _finish(axes: Axes, across: str, goal_km: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(across)
    axes.axhline(goal_km, color=_GOAL, linewidth=1.0, linestyle="--")
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _name_outliers(table: pd.DataFrame, axes: Axes, time_s: Floats, distance_km: Floats, goal_s: float) -> None:
    rows = np.flatnonzero(time_s > goal_s)
    above_km = np.inf
    for row in rows[np.argsort(-distance_km[rows])]:
        crowded = distance_km[row] * _LABEL_RATIO > above_km
        above_km = distance_km[row]
        axes.annotate(
            table["designation"].iloc[row],
            (time_s[row], distance_km[row]),
            xytext=(-6, -10 if crowded else 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
        )
