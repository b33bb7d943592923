# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variant against its numpy reference, the table, and the gate against damage."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.classifier import compress, saved_model, tflite, variants
from export.classifier.compress import Variant
from export.classifier.fine_tune import FurtherTraining, standardised, train_quantised
from export.classifier.training import CLASS_HEAD, HAZARD_HEAD, Network, Training, train
from export.classifier.variants import NAMES, PLAIN, VariantRow, compare_variants, decide
from export.classifier.variants_table import to_markdown
from export.data.dataset import Labelled, Split, flat_orbits, label, split_at_random
from export.quiet_tensorflow import tf


def quiet(what: str, fraction: float) -> None:
    """Shows nothing."""


@pytest.fixture(scope="module")
def split() -> Split:
    return split_at_random(label(flat_orbits(8_000, 12), real=False), 1)


@pytest.fixture(scope="module")
def networks(split: Split) -> tuple[Network, Network]:
    return train(split, Training(epochs=6, pruning_epochs=2, batch_rows=256), quiet)


@pytest.fixture(scope="module")
def rows(split: Split, networks: tuple[Network, Network]) -> list[VariantRow]:
    return compare_variants(*networks, split, split.test, FurtherTraining(2, 256), quiet, repeats=2)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits[:, 0]))


def served(network: Network, layers: dict[str, compress.PackedLayer], folder: Path, data: Labelled) -> np.ndarray:
    saved_model.save(saved_model.NeoClassifier(network, layers, 0.5, "x", "y"), "neo_classifier", folder)
    loaded = tf.saved_model.load(str(folder))
    return loaded.signatures["serving_default"](orbits=tf.constant(data.columns))["pha_probability"].numpy()


def untrained(*widths: int) -> Network:
    """A network with random weights."""
    random = np.random.default_rng(5)
    shapes = {f"hidden_{n}": widths[n - 1 : n + 1] for n in range(len(widths) - 1, 0, -1)}
    shapes |= {HAZARD_HEAD: (widths[-1], 1), CLASS_HEAD: (widths[-1], 4)}
    layers = {
        name: (random.normal(scale=0.5, size=shape).astype(np.float32), np.zeros(shape[1], np.float32))
        for name, shape in shapes.items()
    }
    return Network(np.zeros(12, np.float32), np.ones(12, np.float32), layers, 0.0)


@pytest.mark.parametrize("variant", list(Variant))
def test_weight_forms_answer_as_their_numpy_reference(variant: Variant, split: Split, tmp_path: Path) -> None:
    network = untrained(12, 64, 32)
    layers = compress.pack(network, variant)
    expected = sigmoid(compress.forward(layers, standardised(network, split.test))[HAZARD_HEAD])
    assert np.abs(served(network, layers, tmp_path, split.test) - expected).max() < 1e-5


@pytest.mark.long
def test_static_form_answers_as_its_numpy_reference(
    split: Split, networks: tuple[Network, Network], tmp_path: Path
) -> None:
    network = networks[1]
    layers = compress.pack_static(network, standardised(network, split.train))
    assert all(layer.kernel.dtype == np.int8 and layer.input_step is not None for layer in layers.values())
    features = standardised(network, split.test)
    expected = sigmoid(compress.forward(layers, features)[HAZARD_HEAD])
    difference = np.abs(served(network, layers, tmp_path, split.test) - expected)
    # A feature or an activation on the very edge of two steps may be rounded to either.
    assert np.mean(difference < 1e-5) > 0.99
    exact = sigmoid(compress.forward(compress.pack(network, Variant.F32), features)[HAZARD_HEAD])
    assert 0.0 < np.abs(expected - exact).mean() < 0.02


@pytest.mark.long
def test_quantisation_aware_training_fits_its_static_form(split: Split, networks: tuple[Network, Network]) -> None:
    layers = train_quantised(networks[0], split, FurtherTraining(1, 256), quiet)
    logits = compress.forward(layers, standardised(networks[0], split.test))
    exact = compress.forward(compress.pack(networks[0], Variant.F32), standardised(networks[0], split.test))
    assert np.corrcoef(logits[HAZARD_HEAD][:, 0], exact[HAZARD_HEAD][:, 0])[0, 1] > 0.97
    assert (logits[CLASS_HEAD].argmax(axis=1) == split.test.orbit_class).mean() > 0.9


@pytest.mark.long
@pytest.mark.parametrize(("form", "tolerance"), [(tflite.Form.FP16, 0.02), (tflite.Form.INT8, 0.05)])
def test_tflite_answers_as_the_network(
    form: tflite.Form, tolerance: float, split: Split, networks: tuple[Network, Network]
) -> None:
    network = networks[1]
    features = standardised(network, split.test)
    found = tflite.TfLiteClassifier(tflite.convert(network, form, features[:300]), network)
    expected = sigmoid(compress.forward(compress.pack(network, Variant.F32), features)[HAZARD_HEAD])
    answers = found.predict(tf.constant(split.test.columns))["pha_probability"].numpy()
    assert np.abs(answers - expected).mean() < tolerance


@pytest.mark.long
def test_the_table_has_every_row(rows: list[VariantRow]) -> None:
    assert [row.name for row in rows] == list(NAMES)
    page = to_markdown(rows, "About.")
    assert all(page.count(f"| {name} |") == 3 for name in NAMES)
    assert page.count("**chosen**") == sum(row.chosen for row in rows) == 1


@pytest.mark.long
def test_the_rows_are_measured(rows: list[VariantRow]) -> None:
    by_name = {row.name: row for row in rows}
    assert by_name[PLAIN].validation.change == 0.0
    assert by_name[PLAIN].validation.flips == 0
    assert by_name[PLAIN].sparsity < 0.05
    assert by_name["pruned-f32"].sparsity > 0.4
    assert by_name["pruned-int8-weights"].file_bytes["gzip"] < by_name[PLAIN].file_bytes["gzip"]
    assert all(0 < row.latency[batch].lower_us <= row.latency[batch].median_us for row in rows for batch in (1, 4096))
    assert all("signature" in by_name[str(form)].refusal for form in tflite.Form)


@pytest.mark.long
def test_the_test_set_has_no_say(rows: list[VariantRow]) -> None:
    ruined = [replace(row, test=replace(row.test, average_precision=0.0, calibration_error=1.0)) for row in rows]
    assert [row.chosen for row in decide(ruined)] == [row.chosen for row in rows]


@pytest.mark.long
def test_the_gate_refuses_a_damaged_variant(split: Split, networks: tuple[Network, Network]) -> None:
    """A kernel shuffled after packing, smaller than all others by its bytes, is not chosen."""
    network = networks[1]
    layers = compress.pack(network, Variant.INT8)
    hurt = np.random.default_rng(3).permutation(layers["hidden_1"].kernel, axis=0)
    damaged = {**layers, "hidden_1": replace(layers["hidden_1"], kernel=hurt)}
    precisions, errors = {}, {}
    for name, packed in {PLAIN: compress.pack(network, Variant.F32), "damaged": damaged}.items():
        probability = sigmoid(compress.forward(packed, standardised(network, split.validation))[HAZARD_HEAD])
        judged = variants._judged(split.validation, probability, probability, 0.5)
        precisions[name], errors[name] = judged.average_precision, judged.calibration_error
    assert not compress.passes_gate(precisions["damaged"], precisions[PLAIN])
    chosen = compress.choose(precisions, {PLAIN: 100, "damaged": 1}, calibration_errors=errors, reference=PLAIN)
    assert chosen == PLAIN


@pytest.mark.long
def test_the_gate_refuses_what_answers_nan(rows: list[VariantRow]) -> None:
    chosen = next(row for row in rows if row.chosen)
    others = [row for row in rows if row is not chosen]
    nan = float("nan")
    broken = replace(chosen, validation=replace(chosen.validation, average_precision=nan, calibration_error=nan))
    if chosen.name != PLAIN:
        assert not next(row for row in decide([*others, broken]) if row.name == chosen.name).chosen
    assert not compress.passes_gate(nan, 0.5)
    assert not compress.passes_calibration(nan, 0.5)


def test_a_badly_calibrated_variant_is_refused_and_latency_breaks_ties() -> None:
    precisions = {"plain": 0.99, "small": 0.99, "quick": 0.99}
    sizes = {"plain": 300, "small": 200, "quick": 201}
    latencies = {"plain": 9.0, "small": 3.0, "quick": 2.0}
    good = {"plain": 0.001, "small": 0.003, "quick": 0.002}
    assert compress.choose(precisions, sizes, calibration_errors=good, reference="plain") == "small"
    assert compress.choose(precisions, sizes, latencies=latencies, reference="plain") == "quick"
    bad = {**good, "small": 0.0031}
    assert compress.choose(precisions, sizes, calibration_errors=bad, reference="plain") == "quick"


def test_deeper_networks_are_served_too(tmp_path: Path, split: Split) -> None:
    """The number of hidden layers is read from the layers, in the order of their numbers."""
    network = untrained(12, *([8] * 10))
    packed = compress.pack(network, Variant.F32)
    expected = sigmoid(compress.forward(packed, standardised(network, split.test))[HAZARD_HEAD])
    assert np.abs(served(network, packed, tmp_path, split.test) - expected).max() < 1e-5
