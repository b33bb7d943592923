# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of variants as a page of the documentation."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from export.classifier import compress
from export.classifier.fine_tune import FurtherTraining
from export.classifier.learning_data import training_data
from export.classifier.training import Network, Training, train
from export.classifier.variants import BATCHES, Judged, Latency, VariantRow, compare_variants
from export.data.catalogue import Catalogue, Provenance
from export.data.dataset import (
    FIRST_YEAR_OF_TEST,
)
from export.progress import Progress

_HOW: Final = """
How they are made, all from one converged network:

- `plain-f32`: as many further epochs as pruning takes, without pruning. Changes are counted from this one.
- `pruned-*`: after pruning, its weights stored as float32, as float16, or as int8 with a scale for each output channel
  (weights only: they are widened in the graph and the arithmetic is float32).
- `pruned-int8-static`: inputs of every layer are int8 too, their steps calibrated on training rows; the products are
  integer matrix products in the graph (int8 x int8 -> int32). Made by hand.
- `qat-int8-static`: the same arithmetic, after as many epochs of quantisation-aware training
  (tensorflow-model-optimization) from the same converged network; not pruned.
- `tflite-*`: the pruned network converted by TensorFlow Lite. The file holds what comes after the features, and its
  time is that of TensorFlow's features and the interpreter; raw elements it cannot take, so TensorFlow Serving could
  not answer our signature from it.

Bytes of a file are those of all files of the SavedModel but the warm-up records. Latency is that of a call to the
loaded SavedModel's signature in this process, the median of repeats taken in turns, with quartiles.

The rule, written before the numbers (`export.classifier.compress.choose`): a candidate must be servable from our
signature, lose at most {loss} of average precision on validation, and have a calibration error (ECE) there of at most
{error} (or no more than `plain-f32` has). Of those the smallest gzipped SavedModel ships; within 1 % of the smallest,
the quickest at a batch of 64. The test by date is reported and has no say.
"""


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _bytes(size: dict[str, int]) -> str:
    return f"{size['plain']:,} / {size['gzip']:,}"


def _time(latency: Latency) -> str:
    return f"{latency.median_us:,.0f} ({latency.lower_us:,.0f} to {latency.upper_us:,.0f})"


def _judged(name: str, judged: Judged) -> list[str]:
    return [
        name,
        f"{judged.average_precision:.4f}",
        f"{judged.change:+.4f}",
        f"{judged.change_bright:+.4f}",
        f"{judged.flips:,}",
        f"{judged.largest_probability_change:.3f}",
        f"{judged.calibration_error:.4f}",
    ]


def to_markdown(rows: Sequence[VariantRow], about: str) -> str:
    """The page.

    Args:
        rows: of `variants.compare_variants`.
        about: a paragraph on what was learnt from and judged on.
    """
    sizes = [
        [
            row.name,
            _bytes(row.weight_bytes),
            _bytes(row.file_bytes),
            "not measured" if np.isnan(row.sparsity) else f"{100 * row.sparsity:.0f} %",
            *(_time(row.latency[batch]) for batch in BATCHES),
            "**chosen**" if row.chosen else row.refusal or "passes",
        ]
        for row in rows
    ]
    judged = ["variant", "average precision", "change", "change, H <= 22", "flips", "largest change of p", "ECE"]
    parts = [
        "# Compression of the network",
        "Written by `python -m export variants`; do not edit by hand.",
        about,
        "## Size, time and verdict",
        _markdown(
            ["variant", "weights, bytes / gz", "file, bytes / gz", "zeros"]
            + [f"batch {batch}, us" for batch in BATCHES]
            + ["verdict"],
            sizes,
        ),
        "## On validation, by which the rule decides",
        _markdown(judged, [_judged(row.name, row.validation) for row in rows]),
        f"## On objects first reported from {FIRST_YEAR_OF_TEST} on, reported only",
        _markdown(judged, [_judged(row.name, row.test) for row in rows]),
        "## How",
        _HOW.format(loss=compress.LARGEST_AVERAGE_PRECISION_LOSS, error=compress.LARGEST_CALIBRATION_ERROR).strip(),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def make_table(
    catalogue: Catalogue, synthetic_orbits: int, training: Training, path: Path, progress: Progress
) -> list[VariantRow]:
    """Train a network, compare its variants and write the page: the command `python -m export variants`."""
    progress("labelling orbits", 0.0)
    split, judges = training_data(catalogue, synthetic_orbits)
    dense, pruned = train(split, training, progress)
    further = FurtherTraining(
        training.pruning_epochs, training.batch_rows, training.learning_rate / 3.0, training.l2, training.seed
    )
    rows = compare_variants(dense, pruned, split, judges, further, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = _about(catalogue.provenance, dense, training, [len(split.train), len(split.validation), len(judges)])
    path.write_text(to_markdown(rows, about), encoding="utf-8")
    return rows


def _about(provenance: Provenance, network: Network, training: Training, rows: Sequence[int]) -> str:
    shape = "-".join(str(kernel.shape[1]) for name, (kernel, _) in network.layers.items() if name.startswith("hidden_"))
    schedule = ", ".join(f"{name} {value}" for name, value in asdict(training).items())
    return (
        f"Network {len(network.mean)}-{shape} with two heads. Catalogue: {provenance.kind}, "
        f"{provenance.rows:,} objects, {provenance.date}. "
        f"Rows: {rows[0]:,} to train on and {rows[1]:,} to validate by (real earlier objects and synthetic orbits), "
        f"{rows[2]:,} later objects. Schedule: {schedule}."
    )
