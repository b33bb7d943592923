# SPDX-License-Identifier: GPL-3.0-or-later
"""The published SavedModel, loaded as TensorFlow Serving loads it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.classifier.saved_model import WARMUP_BATCHES, WARMUP_FILE
from export.data.dataset import flat_orbits, label
from export.publishing import publish
from export.publishing.publish import Published
from export.quiet_tensorflow import prediction_log_pb2, tf


@pytest.fixture(scope="module")
def published(tiny_models: dict[str, Published]) -> Published:
    return tiny_models["neo_classifier"]


@pytest.fixture(scope="module")
def loaded(published: Published) -> Any:
    return tf.saved_model.load(str(published.folder))


@pytest.fixture(scope="module")
def answers(loaded: Any) -> dict[str, np.ndarray]:
    columns = label(flat_orbits(2_000, 99), real=False).columns
    found = loaded.signatures["serving_default"](orbits=tf.constant(columns))
    return {name: value.numpy() for name, value in found.items()}


def test_folder_is_what_was_published(published: Published) -> None:
    publish.verify(published.folder)
    names = {path.relative_to(published.folder).as_posix() for path in published.folder.rglob("*") if path.is_file()}
    assert {"saved_model.pb", "manifest.json", "SHA256SUMS", "variables/variables.index"} <= names
    assert WARMUP_FILE.as_posix() in names


def test_signature_as_the_gateway_expects_it(loaded: Any) -> None:
    signature = loaded.signatures["serving_default"]
    (spec,) = signature.structured_input_signature[1].values()
    assert (spec.name, spec.dtype, spec.shape.as_list()) == ("orbits", tf.float64, [None, 6])
    outputs = {name: (s.dtype, s.shape.as_list()) for name, s in signature.structured_outputs.items()}
    assert outputs == {
        "pha_probability": (tf.float32, [None]),
        "potentially_hazardous": (tf.bool, [None]),
        "class_probabilities": (tf.float32, [None, 4]),
    }


def test_answers_are_probabilities(answers: dict[str, np.ndarray]) -> None:
    assert ((answers["pha_probability"] >= 0) & (answers["pha_probability"] <= 1)).all()
    assert answers["class_probabilities"].sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_it_has_learnt(answers: dict[str, np.ndarray]) -> None:
    """Even seconds of training tell classes apart and rank hazards, on orbits it never saw."""
    from sklearn.metrics import average_precision_score

    truth = label(flat_orbits(2_000, 99), real=False)
    assert average_precision_score(truth.hazardous, answers["pha_probability"]) > 0.9
    assert (answers["class_probabilities"].argmax(axis=1) == truth.orbit_class).mean() > 0.95


def test_threshold_is_the_manifests(published: Published, answers: dict[str, np.ndarray]) -> None:
    threshold = np.float32(json.loads((published.folder / "manifest.json").read_text())["threshold"])
    assert 0 < threshold < 1
    assert np.array_equal(answers["potentially_hazardous"], answers["pha_probability"] >= threshold)
    assert answers["potentially_hazardous"].any()


@pytest.mark.parametrize("rows", [1, 3])
def test_describe_says_what_it_is(loaded: Any, published: Published, rows: int) -> None:
    found = loaded.signatures["describe"](rows=tf.range(rows, dtype=tf.int32))
    assert found["variant"].numpy().tolist() == [published.manifest.variant.encode()] * rows
    said = {text.decode() for text in found["training_data"].numpy()}
    assert len(said) == 1
    assert said.pop().startswith("synthetic: ")


def test_batch_of_none(loaded: Any) -> None:
    found = loaded.signatures["serving_default"](orbits=tf.zeros((0, 6), tf.float64))
    assert found["class_probabilities"].shape == (0, 4)


def test_a_row_does_not_depend_on_its_batch(loaded: Any, answers: dict[str, np.ndarray]) -> None:
    columns = label(flat_orbits(2_000, 99), real=False).columns
    alone = loaded.signatures["serving_default"](orbits=tf.constant(columns[17:18]))
    assert alone["pha_probability"].numpy()[0] == pytest.approx(answers["pha_probability"][17], abs=1e-6)


def test_warm_up_records_are_requests_the_model_answers(published: Published, loaded: Any) -> None:
    seen = set()
    for record in tf.data.TFRecordDataset(str(published.folder / WARMUP_FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert loaded.signatures[request.model_spec.signature_name](**inputs)
        assert request.model_spec.name == "neo_classifier"
        seen.add((request.model_spec.signature_name, len(next(iter(inputs.values())))))
    assert seen == {(name, rows) for name in ("serving_default", "describe") for rows in WARMUP_BATCHES}


def test_manifest_tells_everything(published: Published) -> None:
    manifest = json.loads((published.folder / "manifest.json").read_text())
    assert {"name", "version", "variant", "created_utc", "training_data", "metrics", "libraries"} <= manifest.keys()
    assert manifest["training_data"].keys() == {"kind", "source", "date", "rows", "sha256", "description"}
    assert manifest["training_data"]["kind"] == "synthetic"
    assert manifest["libraries"]["tensorflow"]
    assert 0.4 < manifest["sparsity"] < 0.6
    assert set(manifest["variants"]) == {"pruned-f32", "pruned-fp16", "pruned-int8-weights"}
    assert manifest["metrics"]["by_date"]["all"]["average_precision"] > 0.8


@pytest.mark.long
def test_without_later_objects_there_is_nothing_to_judge_by(tmp_path: Path) -> None:
    """An old catalogue still makes a model; its metrics by date are counts of nothing, not an error."""
    from export.classifier.job import ClassifierScale, publish_classifier
    from export.classifier.training import Training
    from export.data.catalogue import synthetic

    old = synthetic(2_000, 8)
    old.objects["first_reported_year"] = 2010
    scale = ClassifierScale(4_000, Training(epochs=1, pruning_epochs=1), resamples=20)
    made = publish_classifier(old, scale, tmp_path, 1, progress=print)
    assert made.manifest.metrics["by_date"]["all"] == {"objects": 0.0, "hazardous": 0.0}
    publish.verify(made.folder)
