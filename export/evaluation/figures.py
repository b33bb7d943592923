# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a classifier's report, drawn from the report alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from export.data.dataset import CLASSES
from export.evaluation.report import PARTS, ClassifierReport
from export.quiet_matplotlib import Axes, plt

FILES: Final = (
    "precision-recall.png",
    "reliability.png",
    "confusion.png",
    "training.png",
    "scores.png",
)

_DOTS_PER_INCH: Final = 110
_COLOURS: Final = {"all": "#1f5fa8", "h_at_most_22": "#d1661c"}


def _precision_recall(axes: list[Axes], report: ClassifierReport) -> None:
    (ax,) = axes
    lowest = 1.0
    for part, curve in report.curves.items():
        recall, precision = np.array(curve["precision_recall"]).T
        lowest = min(lowest, float(precision.min()))
        value, (low, high) = report.by_date[part]["average_precision"], report.intervals[part]["average_precision"]
        label = f"{PARTS[part]}: {value:.4f} [{low:.4f}, {high:.4f}]"
        ax.plot(recall, precision, color=_COLOURS[part], label=label)
    ax.set(xlabel="recall", ylabel="precision", xlim=(0.0, 1.02), ylim=(max(lowest - 0.05, 0.0), 1.02))
    if report.curves:
        ax.legend(title="average precision", loc="lower left")
    ax.set_title(f"Real objects first reported from {report.first_year} on")


def _reliability(axes: list[Axes], report: ClassifierReport) -> None:
    (ax,) = axes
    ax.plot([0.0, 1.0], [0.0, 1.0], color="0.6", linewidth=1.0, label="stated = seen")
    for part, curve in report.curves.items():
        stated, seen, objects = np.array(curve["reliability"]).T
        # Standard error of a frequency, with the pseudo-counts of Agresti & Coull 1998, Am. Stat. 52:119.
        middle = (seen * objects + 2.0) / (objects + 4.0)
        error = np.sqrt(middle * (1.0 - middle) / (objects + 4.0))
        label = f"{PARTS[part]}: calibration error {report.by_date[part]['expected_calibration_error']:.4f}"
        ax.errorbar(stated, seen, yerr=error, fmt="o-", color=_COLOURS[part], capsize=2.0, markersize=4.0, label=label)
    ax.set(xlabel="stated probability", ylabel="share that is hazardous", xlim=(-0.02, 1.02), ylim=(-0.05, 1.05))
    ax.legend(loc="lower right", fontsize="small")
    ax.set_title("Reliability; bars are one standard error")


def _matrix(ax: Axes, confusion: list[list[int]], names: list[str], title: str) -> None:
    counts = np.array(confusion, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    ax.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        ax.text(column, row, f"{counts[row, column]:,.0f}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="the network says", ylabel="the rule says", title=title)


def _confusion(axes: list[Axes], report: ClassifierReport) -> None:
    kinds = ["other", "hazardous"]
    if "confusion" in report.by_date["all"]:
        title = f"Hazard, threshold {report.threshold:.3f}"
        _matrix(axes[0], report.by_date["all"]["confusion"], kinds, title)
    if "confusion" in report.by_date["orbit_class"]:
        names = [orbit_class.name.capitalize() for orbit_class in CLASSES]
        _matrix(axes[1], report.by_date["orbit_class"]["confusion"], names, "Orbit class")


def _training(axes: list[Axes], report: ClassifierReport) -> None:
    for ax, loss, title in zip(axes, ("hazard_loss", "orbit_class_loss"), ("Hazard head", "Class head"), strict=True):
        done = 0
        for stage in dict.fromkeys(row["stage"] for row in report.history):
            rows = [row for row in report.history if row["stage"] == stage]
            epochs = done + np.arange(1, len(rows) + 1)
            done += len(rows)
            for prefix, style in (("", "-"), ("val_", "--")):
                # Keras puts the name of the wrapper before the head's while pruning.
                values = [
                    next(v for k, v in row.items() if k.endswith(loss) and k.startswith("val_") == (prefix == "val_"))
                    for row in rows
                ]
                colour = _COLOURS["all"] if stage == "training" else _COLOURS["h_at_most_22"]
                where = "validation" if prefix else "train"
                ax.plot(epochs, values, style, color=colour, label=f"{stage}, {where}")
        ax.set(xlabel="epoch", ylabel="loss in nats", yscale="log", title=title)
        ax.legend()


def _scores(axes: list[Axes], report: ClassifierReport) -> None:
    (ax,) = axes
    edges, hazardous, others = np.array(report.curves["all"]["histogram"]).T if report.curves else np.zeros((3, 1))
    width = 1.0 / len(edges)
    ax.bar(edges, others, width, align="edge", color=_COLOURS["all"], alpha=0.7, label="others")
    ax.bar(edges, hazardous, width, align="edge", color=_COLOURS["h_at_most_22"], alpha=0.7, label="hazardous")
    ax.axvline(report.threshold, color="0.3", linestyle="--", label=f"threshold {report.threshold:.3f}")
    ax.set(xlabel="stated probability", ylabel="objects", yscale="symlog", title="Scores as served, all objects")
    ax.legend()


_Drawing = Callable[[list[Axes], ClassifierReport], None]
_DRAWINGS: Final[tuple[tuple[int, _Drawing], ...]] = (
    (1, _precision_recall),
    (1, _reliability),
    (2, _confusion),
    (2, _training),
    (1, _scores),
)


def write(folder: Path, report: ClassifierReport) -> list[Path]:
    """Draw all figures into a folder as PNG, and say which.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (count, draw) in zip(FILES, _DRAWINGS, strict=True):
        figure, grid = plt.subplots(1, count, figsize=(5.6 * count, 4.4), layout="constrained", squeeze=False)
        draw(list(grid[0]), report)
        figure.savefig(folder / name, dpi=_DOTS_PER_INCH, metadata={"Software": None})
        plt.close(figure)
        paths.append(folder / name)
    return paths
