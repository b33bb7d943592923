# SPDX-License-Identifier: GPL-3.0-or-later
"""A small seeded search over width, depth, rate, dropout and L2; no object first reported from 2020 on takes part.

Learnt from: real objects first reported before `FIRST_YEAR_OF_CHOICE`, and flat synthetic orbits; 15 % of both stop
each fit early. Chosen on: real objects first reported from then until `FIRST_YEAR_OF_TEST`, and other flat orbits. The
score is the mean of the two average precisions. The best of one seed each are trained again with further seeds; the
present default stays unless another beats it by more than the noise between seeds.
"""

import csv
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import expit

from export.classifier.training import Network, Training, train
from export.data.catalogue import Catalogue
from export.data.dataset import (
    FIRST_YEAR_OF_TEST,
    SYNTHETIC_SEED,
    Labelled,
    Split,
    concatenate,
    flat_orbits,
    label,
    split_at_random,
    split_by_year,
)
from export.errors import ExportError
from export.evaluation import metrics
from export.progress import Progress

FIRST_YEAR_OF_CHOICE: Final = 2016
SEARCH_FILE: Final = "search.csv"

_SHAPES: Final = ((32, 16), (64, 32), (64, 64), (128, 64), (64, 32, 16), (64, 64, 32), (128, 64, 32))
_LEARNING_RATES: Final = (1e-3, 1.2e-2)
_DROPOUTS: Final = (0.0, 0.0, 0.05, 0.15)
_L2: Final = (1e-8, 1e-4)


class SearchError(ExportError):
    """There is nothing to choose by."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How much to search.

    Attributes:
        trials: of one seed each, the present default first.
        finalists: how many of the best, and the default, are trained again.
        repeats: with how many further seeds.
        training_orbits: synthetic, to learn from.
        choice_orbits: synthetic, to choose by.
        tie: scores nearer than this are a tie, which the smaller calibration error decides.
    """

    trials: int = 16
    finalists: int = 3
    repeats: int = 4
    training_orbits: int = 150_000
    choice_orbits: int = 50_000
    epochs: int = 24
    seed: int = 11
    tie: float = 1e-5


@dataclass(frozen=True, slots=True)
class Trial:
    """One training and what it came to; a row of the table.

    Attributes:
        stage: "search" or "final".
        configuration: number of the combination of settings, 0 the present default.
        average_precision_real, calibration_error_real: on real objects of the years of choice.
        average_precision_flat, calibration_error_flat: on synthetic orbits never trained on.
        score: mean of the two average precisions.
    """

    stage: str
    configuration: int
    hidden_units: str
    learning_rate: float
    dropout: float
    l2: float
    seed: int
    weights: int
    epochs: int
    seconds: float
    average_precision_real: float
    average_precision_flat: float
    calibration_error_real: float
    calibration_error_flat: float
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Every trial, the chosen settings, and why they were chosen, in one sentence."""

    trials: tuple[Trial, ...]
    chosen: Training
    reason: str


def configurations(settings: SearchSettings, default: Training) -> list[Training]:
    """The default, and random combinations: rates and L2 uniform in their logarithm."""
    random = np.random.default_rng(settings.seed)

    def log_uniform(low: float, high: float) -> float:
        return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.2e}")

    return [default] + [
        replace(
            default,
            hidden_units=_SHAPES[random.integers(len(_SHAPES))],
            learning_rate=log_uniform(*_LEARNING_RATES),
            dropout=_DROPOUTS[random.integers(len(_DROPOUTS))],
            l2=log_uniform(*_L2),
        )
        for _ in range(settings.trials - 1)
    ]


def search_data(catalogue: Catalogue, settings: SearchSettings) -> tuple[Split, Labelled, Labelled]:
    """What to learn from, the real objects to choose by, and the synthetic orbits to choose by.

    Raises:
        SearchError: no hazardous object was first reported in the years of choice.
    """
    real = catalogue.provenance.kind != "synthetic"
    known, _ = split_by_year(catalogue.objects, FIRST_YEAR_OF_TEST)
    earlier, later = split_by_year(known, FIRST_YEAR_OF_CHOICE)
    choice = label(later, real=real)
    if not choice.hazardous.any():
        raise SearchError(f"no hazardous object first reported from {FIRST_YEAR_OF_CHOICE} to {FIRST_YEAR_OF_TEST - 1}")
    flat = label(flat_orbits(settings.training_orbits, SYNTHETIC_SEED + 3), real=False)
    flat_choice = label(flat_orbits(settings.choice_orbits, SYNTHETIC_SEED + 4), real=False)
    learning = concatenate(label(earlier, real=real), flat)
    return split_at_random(learning, settings.seed), choice, flat_choice


def run_search(catalogue: Catalogue, settings: SearchSettings, folder: Path, progress: Progress) -> SearchResult:
    """Search, write every trial to `SEARCH_FILE` in a folder as it is done, and choose.

    Raises:
        SearchError: as `search_data`.
        OSError: the table cannot be written.
    """
    default = Training(epochs=settings.epochs, pruning_epochs=0)
    learning, choice, flat_choice = search_data(catalogue, settings)
    candidates = configurations(settings, default)
    planned = len(candidates) + (settings.finalists + 1) * settings.repeats
    trials: list[Trial] = []

    def attempt(stage: str, number: int, seed: int) -> Trial:
        def report(what: str, fraction: float) -> None:
            progress(f"trial {len(trials) + 1} of at most {planned}, {what}", (len(trials) + fraction) / planned)

        training = replace(candidates[number], seed=seed)
        started = time.monotonic()
        network, _ = train(learning, training, report)
        trial = _judge(network, stage, number, training, time.monotonic() - started, choice, flat_choice)
        trials.append(trial)
        write_table(trials, folder / SEARCH_FILE)
        return trial

    first = [attempt("search", number, default.seed) for number in range(len(candidates))]
    best = sorted(first[1:], key=lambda trial: rank(trial, settings.tie))[: settings.finalists]
    finals: dict[int, list[Trial]] = {
        number: [attempt("final", number, default.seed + repeat) for repeat in range(1, settings.repeats + 1)]
        for number in [0, *(trial.configuration for trial in best)]
    }
    number, reason = choose(finals)
    progress("searched", 1.0)
    return SearchResult(tuple(trials), candidates[number], reason)


def _judge(
    network: Network, stage: str, number: int, training: Training, seconds: float, real: Labelled, flat: Labelled
) -> Trial:
    found = {}
    for name, data in (("real", real), ("flat", flat)):
        probability = expit(network.logits(data.columns)[0].astype(np.float64))
        found[name] = metrics.hazard_metrics(data.hazardous, probability, 0.5)
    precisions = {name: found[name]["average_precision"] for name in found}
    return Trial(
        stage=stage,
        configuration=number,
        hidden_units="-".join(str(units) for units in training.hidden_units),
        learning_rate=training.learning_rate,
        dropout=training.dropout,
        l2=training.l2,
        seed=training.seed,
        weights=network.weights,
        epochs=len(network.history),
        seconds=round(seconds, 1),
        average_precision_real=precisions["real"],
        average_precision_flat=precisions["flat"],
        calibration_error_real=found["real"]["expected_calibration_error"],
        calibration_error_flat=found["flat"]["expected_calibration_error"],
        score=(precisions["real"] + precisions["flat"]) / 2.0,
    )


def rank(trial: Trial, tie: float) -> tuple[int, float]:
    """What trials are sorted by: the score in steps of a tie, falling, then the calibration error."""
    return -round(trial.score / tie), trial.calibration_error_real + trial.calibration_error_flat


def choose(finals: Mapping[int, Sequence[Trial]]) -> tuple[int, str]:
    """The configuration to use, and why.

    The one of the highest mean score over seeds is taken where it beats the default, number 0, by more than two
    standard errors of the difference of the means; else the default stays.
    """
    scores = {number: np.array([trial.score for trial in trials]) for number, trials in finals.items()}
    best = max(scores, key=lambda number: float(scores[number].mean()))
    gain = float(scores[best].mean() - scores[0].mean())
    squares: Any = sum(scores[number].var(ddof=1) / len(scores[number]) for number in (best, 0))
    noise = 2.0 * math.sqrt(float(squares))
    compared = f"configuration {best} scores {gain:+.6f} against the default, noise {noise:.6f} (two standard errors)"
    if best != 0 and gain > noise:
        return best, f"{compared}: taken"
    return 0, f"{compared}: the default stays"


def write_table(trials: Sequence[Trial], path: Path) -> None:
    """All trials as CSV, floats to six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(Trial.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        for trial in trials:
            row = asdict(trial)
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
