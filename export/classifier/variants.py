# SPDX-License-Identifier: GPL-3.0-or-later
"""All ways of storing the network side by side, made from one converged network and measured in one run."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from export.classifier import compress, saved_model, tflite
from export.classifier.compress import PackedLayer, Variant
from export.classifier.fine_tune import FurtherTraining, standardised, train_on, train_quantised
from export.classifier.training import Network
from export.data.dataset import Labelled, Split
from export.evaluation import metrics
from export.progress import Progress
from export.quiet_tensorflow import tf
from gateway.neo.hazard import PHA_MAX_ABSOLUTE_MAGNITUDE_H

PLAIN: Final = "plain-f32"
STATIC: Final = "pruned-int8-static"
TRAINED: Final = "qat-int8-static"
NAMES: Final = (PLAIN, *Variant, STATIC, TRAINED, *tflite.Form)

BATCHES: Final = (1, 64, 4096)
CALIBRATION_ROWS: Final = 20_000
_TFLITE_CALIBRATION_ROWS: Final = 1_000
# Calls in a row that make one repeat, so that a repeat lasts some milliseconds.
_CALLS: Final = {1: 10, 64: 10, 4096: 2}
_TIE_BREAK_BATCH: Final = 64
_ROWS_AT_ONCE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Latency:
    """Microseconds a call: the median of the repeats and their quartiles."""

    median_us: float
    lower_us: float
    upper_us: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A variant on one set of objects, beside the plain float32.

    Attributes:
        average_precision: of all objects; NaN where none or all are hazardous.
        change: of the average precision, against the plain float32.
        change_bright: the same among H <= 22.
        flips: objects on the other side of the threshold.
        largest_probability_change: of any object.
        calibration_error: expected calibration error.
    """

    average_precision: float
    change: float
    change_bright: float
    flips: int
    largest_probability_change: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One variant's line of the table.

    Attributes:
        weight_bytes: "plain" and "gzip", of the stored arrays, or of the TensorFlow Lite file.
        file_bytes: the same of the SavedModel's files without warm-up records, or of the TensorFlow Lite file.
        sparsity: fraction of the kernels' stored weights that are zero; NaN for TensorFlow Lite.
        latency: batch -> time of a call through the loaded SavedModel's signature.
        refusal: why it does not ship; empty if it may.
        chosen: whether the rule chooses it.
    """

    name: str
    weight_bytes: dict[str, int]
    file_bytes: dict[str, int]
    sparsity: float
    latency: dict[int, Latency]
    validation: Judged
    test: Judged
    refusal: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class _Contender:
    answer: Callable[[Any], Mapping[str, Any]]
    weight_bytes: dict[str, int]
    file_bytes: dict[str, int]
    sparsity: float


def compare_variants(
    dense: Network,
    pruned: Network,
    split: Split,
    judges: Labelled,
    further: FurtherTraining,
    progress: Progress,
    *,
    repeats: int = 15,
) -> list[VariantRow]:
    """Make every variant, save it, load it, and measure it; one is chosen as `compress.choose` says.

    Args:
        dense: the converged network.
        pruned: the same after pruning, with as many further epochs as `further` has.
        split: the train part is trained and calibrated on, the validation part decides.
        judges: objects discovered later, reported only.
        further: the schedule of the plain baseline and of quantisation-aware training.
        progress: told what is being done.
        repeats: of the time measurements, all variants in turns.

    Returns:
        A row for each of `NAMES`, in that order.
    """
    plain = train_on(dense, split, further, progress)
    trained = train_quantised(dense, split, further, progress)
    calibration = standardised(pruned, split.train.take(np.arange(min(CALIBRATION_ROWS, len(split.train)))))
    packed: dict[str, tuple[Network, dict[str, PackedLayer]]] = {
        PLAIN: (plain, compress.pack(plain, Variant.F32)),
        **{str(variant): (pruned, compress.pack(pruned, variant)) for variant in Variant},
        STATIC: (pruned, compress.pack_static(pruned, calibration)),
        TRAINED: (dense, trained),
    }
    with tempfile.TemporaryDirectory() as folder:
        contenders = {}
        for number, (name, (network, layers)) in enumerate(packed.items()):
            progress(f"saving {name}", number / len(NAMES))
            contenders[name] = _served(network, layers, name, Path(folder) / name)
        for form in tflite.Form:
            progress(f"converting {form}", 1.0 - 1.0 / len(NAMES))
            contenders[str(form)] = _lite(pruned, form, calibration[:_TFLITE_CALIBRATION_ROWS])
        progress("measuring times", 0.0)
        latency = _latencies(contenders, split.validation.columns, repeats)
        progress("judging", 0.0)
        validation, test = _judge(contenders, split.validation, judges)
    rows = [
        VariantRow(
            name, one.weight_bytes, one.file_bytes, one.sparsity, latency[name], validation[name], test[name], "",
            chosen=False,
        )
        for name, one in contenders.items()
    ]  # fmt: skip
    return decide(rows)


def decide(rows: list[VariantRow]) -> list[VariantRow]:
    """The rows with each refusal, and the choice, filled in from the validation part; the plain one among them."""
    reference = next(row for row in rows if row.name == PLAIN)
    rows = [replace(row, refusal=_refusal(row, reference), chosen=False) for row in rows]
    passing = [row for row in rows if not row.refusal]
    chosen = compress.choose(
        {row.name: row.validation.average_precision for row in passing},
        {row.name: row.file_bytes["gzip"] for row in passing},
        calibration_errors={row.name: row.validation.calibration_error for row in passing},
        latencies={row.name: row.latency[_TIE_BREAK_BATCH].median_us for row in passing},
        reference=PLAIN,
    )
    return [replace(row, chosen=row.name == chosen) for row in rows]


def _refusal(row: VariantRow, reference: VariantRow) -> str:
    reasons = []
    if row.name in tuple(tflite.Form):
        reasons.append("does not answer our signature")
    if not compress.passes_gate(row.validation.average_precision, reference.validation.average_precision):
        reasons.append(f"average precision {row.validation.change:+.4f}")
    if not compress.passes_calibration(row.validation.calibration_error, reference.validation.calibration_error):
        reasons.append(f"calibration error {row.validation.calibration_error:.4f}")
    return "; ".join(reasons)


def _served(network: Network, layers: Mapping[str, PackedLayer], name: str, folder: Path) -> _Contender:
    saved_model.save(saved_model.NeoClassifier(network, layers, 0.5, name, "comparison"), "neo_classifier", folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / saved_model.WARMUP_FILE)
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]

    def answer(orbits: Any, _kept_alive: Any = loaded) -> Mapping[str, Any]:
        found: Mapping[str, Any] = signature(orbits=orbits)
        return found

    file_bytes = compress.sizes(b"".join(path.read_bytes() for path in files))
    return _Contender(answer, compress.weight_bytes(layers), file_bytes, compress.sparsity(layers))


def _lite(network: Network, form: tflite.Form, calibration: NDArray[np.float32]) -> _Contender:
    content = tflite.convert(network, form, calibration)
    size = compress.sizes(content)
    return _Contender(tflite.TfLiteClassifier(content, network).predict, size, size, float("nan"))


def _latencies(
    contenders: Mapping[str, _Contender], columns: NDArray[np.float64], repeats: int
) -> dict[str, dict[int, Latency]]:
    """All contenders in turns, so that a busy machine is as unfair to each of them."""
    result: dict[str, dict[int, Latency]] = {name: {} for name in contenders}
    for batch in BATCHES:
        orbits = tf.constant(np.resize(columns, (batch, columns.shape[1])))
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for repeat in range(repeats + 1):
            for name, one in contenders.items():
                start_s = time.perf_counter()
                for _ in range(_CALLS[batch]):
                    one.answer(orbits)["pha_probability"].numpy()
                if repeat:  # the first warms up
                    seconds[name].append((time.perf_counter() - start_s) / _CALLS[batch])
        for name, values in seconds.items():
            lower, middle, upper = 1e6 * np.quantile(values, [0.25, 0.5, 0.75])
            result[name][batch] = Latency(float(middle), float(lower), float(upper))
    return result


def _judge(contenders: Mapping[str, _Contender], *parts: Labelled) -> list[dict[str, Judged]]:
    """Every contender on every part; the threshold is the plain one's of the largest F1 on the first part."""
    probabilities = [{name: _probabilities(one, part.columns) for name, one in contenders.items()} for part in parts]
    threshold = metrics.best_f1_threshold(parts[0].hazardous, probabilities[0][PLAIN])
    return [
        {name: _judged(part, probability, by_name[PLAIN], threshold) for name, probability in by_name.items()}
        for part, by_name in zip(parts, probabilities, strict=True)
    ]


def _probabilities(one: _Contender, columns: NDArray[np.float64]) -> NDArray[np.float32]:
    starts = range(0, len(columns), _ROWS_AT_ONCE)
    parts = [one.answer(tf.constant(columns[at : at + _ROWS_AT_ONCE]))["pha_probability"].numpy() for at in starts]
    return np.concatenate([np.empty(0, np.float32), *parts])


def _average_precision(truth: NDArray[np.bool_], probability: NDArray[np.float32]) -> float:
    usable = truth.any() and not truth.all() and np.isfinite(probability).all()
    return float(average_precision_score(truth, probability)) if usable else float("nan")


def _judged(part: Labelled, probability: NDArray[np.float32], plain: NDArray[np.float32], threshold: float) -> Judged:
    if not len(part):
        nan = float("nan")
        return Judged(nan, nan, nan, 0, nan, nan)
    bright = part.columns[:, 5] <= PHA_MAX_ABSOLUTE_MAGNITUDE_H
    average_precision = _average_precision(part.hazardous, probability)
    of_bright = [_average_precision(part.hazardous[bright], p[bright]) for p in (probability, plain)]
    return Judged(
        average_precision=average_precision,
        change=average_precision - _average_precision(part.hazardous, plain),
        change_bright=of_bright[0] - of_bright[1],
        flips=int(np.sum((probability >= threshold) != (plain >= threshold))),
        largest_probability_change=float(np.abs(probability - plain).max()),
        calibration_error=metrics.expected_calibration_error(part.hazardous, probability),
    )
