# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands print: progress, and tables of what was published. The only module that imports rich."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from export.progress import Progress
from export.publishing.manifest_checks import numbers

if TYPE_CHECKING:
    from export.publishing.publish import Manifest, Published

__all__ = ["Console", "Table", "show_published", "showing_progress"]

# How often a log (not a terminal) shows how far a long step is.
_LOG_PERIOD_S: Final = 15.0


@contextmanager
def showing_progress(console: Console, first_step: str) -> Iterator[Progress]:
    """Show what is being done and for how long: a bar on a terminal, a line for each step elsewhere.

    Args:
        console: to print on.
        first_step: what is being done until the first call of what this gives.
    """
    if not console.is_terminal:
        lines = _StepLines(console)
        lines(first_step, 0.0)
        yield lines
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console) as bar:
        task = bar.add_task(first_step, total=1.0)
        yield lambda what, fraction: bar.update(task, description=what, completed=fraction)


class _StepLines:
    """Prints a line when a step begins, and one now and then while it lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_s = self._printed_s = time.monotonic()
        self._step = ""

    def __call__(self, what: str, fraction: float) -> None:
        # "training, validation loss 0.0312" is the step "training" and a detail.
        step = what.partition(",")[0]
        now_s = time.monotonic()
        if step == self._step and now_s - self._printed_s < _LOG_PERIOD_S:
            return
        share = "" if step != self._step else f" ({fraction:.0%})"
        self._step, self._printed_s = step, now_s
        text = f"{now_s - self._started_s:4.0f} s  {what}{share}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_published(published: Sequence["Published"], console: Console) -> None:
    """Print a table of each published version's measures."""
    for one in published:
        manifest = one.manifest
        data = manifest.training_data
        table = Table("measure", "value", title=f"{manifest.name} {manifest.version}", title_justify="left")
        table.add_row("variant", manifest.variant)
        table.add_row("learnt from", f"{data['kind']}, {data['rows']} objects, {data['date']}")
        for measure, value in _measures(manifest):
            table.add_row(measure, value)
        console.print(table)
        console.print(str(one.folder), markup=False, soft_wrap=True)


def _measures(manifest: "Manifest") -> list[tuple[str, str]]:
    if "by_date" not in manifest.metrics:
        threshold = f"{manifest.details['score_threshold']:.4f}"
        return [
            ("unusual from score", threshold),
            *((name, f"{value:.4g}") for name, value in numbers(manifest.metrics)),
        ]
    judged = manifest.metrics["by_date"]
    rows = [
        (
            "judged by",
            f"{judged['all']['objects']:.0f} objects reported from {manifest.details['by_date_first_year']} on",
        ),
    ]
    if "accuracy" in judged["orbit_class"]:
        rows.append(("orbit class accuracy", f"{judged['orbit_class']['accuracy']:.4f}"))
    for part, words in (("all", "all"), ("h_at_most_22", "H <= 22")):
        rows += [
            (f"{measure.replace('_', ' ')}, {words}", f"{judged[part][measure]:.4f}")
            for measure in ("average_precision", "f1", "expected_calibration_error")
            if measure in judged[part]
        ]
    for variant, figures in manifest.details["variants"].items():
        size, precision = figures["weight_bytes"], figures["validation_average_precision"]
        rows.append((variant, f"{size['plain']} bytes, {size['gzip']} gzipped, average precision {precision:.4f}"))
    return rows
