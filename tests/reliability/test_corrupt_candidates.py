# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty ways in which a candidate can be broken: each is refused with what is wrong, and the old version stays."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.publishing import forest_checks, network_checks, publish
from tests.trained import TINY_VERSION as VERSION


@pytest.fixture(scope="module")
def models(tiny_models, tmp_path_factory):
    """A store with both models, small but real."""
    store = tmp_path_factory.mktemp("store")
    for name, one in tiny_models.items():
        shutil.copytree(one.folder, store / name / str(VERSION))
    return store


def cut(name):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * 2 // 3])

    return damage


def edit_graph(change):
    def damage(folder):
        from tensorflow.core.protobuf import saved_model_pb2

        path = folder / "saved_model.pb"
        model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        change(model.meta_graphs[0])
        path.write_bytes(model.SerializeToString())

    return damage


def set_dtype(graph):
    graph.signature_def["serving_default"].inputs["orbits"].dtype = 1


def set_shape(graph):
    graph.signature_def["serving_default"].outputs["class_probabilities"].tensor_shape.dim[1].size = 5


def rename_output(graph):
    outputs = graph.signature_def["serving_default"].outputs
    outputs["probability"].CopyFrom(outputs["pha_probability"])
    del outputs["pha_probability"]


def nan_weights(graph):
    import tensorflow as tf

    for function in graph.graph_def.library.function:
        for node in function.node_def:
            tensor = node.attr["value"].tensor
            if node.op == "Const" and tf.as_dtype(tensor.dtype).is_floating and len(tensor.tensor_shape.dim) == 1:
                values = tf.make_ndarray(tensor).copy()
                values[0] = np.nan
                tensor.CopyFrom(tf.make_tensor_proto(values))
                return
    raise AssertionError("no vector of weights in the graph")


def edit_manifest(change):
    def damage(folder):
        path = folder / "manifest.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def edit_forest(change):
    def damage(folder):
        model = onnx.load_model(folder / "forest.onnx")
        change(model)
        (folder / "forest.onnx").write_bytes(model.SerializeToString())

    return damage


def edit_tables(change):
    def damage(folder):
        with np.load(folder / "forest.npz") as archive:
            tables = dict(archive)
        change(tables)
        np.savez_compressed(folder / "forest.npz", **tables)

    return damage


def rename_input(model):
    model.graph.input[0].name = "elements"
    for node in model.graph.node:
        node.input[:] = ["elements" if name == "orbits" else name for name in node.input]


def narrow_output(model):
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def nan_thresholds(model):
    node = next(node for node in model.graph.node if node.op_type == "TreeEnsemble")
    splits = next(attribute for attribute in node.attribute if attribute.name == "nodes_splits")
    values = numpy_helper.to_array(splits.t).copy()
    values[0] = np.nan
    splits.t.CopyFrom(numpy_helper.from_array(values))


def shift_a_split(tables):
    tables["threshold"] = tables["threshold"] + 1e-3 * (tables["children_left"] >= 0)


def wrong_leaves(tables):
    tables["expected_path_length"] = tables["expected_path_length"] * 1.5


# name -> (model, damage, whether the sums are written after it, words of the reason)
CORRUPTIONS = {
    "truncated graph": ("neo_classifier", cut("saved_model.pb"), True, "saved_model.pb is truncated"),
    "no graph": ("neo_classifier", lambda f: (f / "saved_model.pb").unlink(), True, "saved_model.pb cannot be read"),
    "missing variables": ("neo_classifier", lambda f: shutil.rmtree(f / "variables"), True, "variables are missing"),
    "missing shard": (
        "neo_classifier",
        lambda f: next((f / "variables").glob("*.data-*")).unlink(),
        True,
        "variables are missing",
    ),
    "truncated index": ("neo_classifier", cut("variables/variables.index"), True, "variables cannot be read"),
    "input of another type": ("neo_classifier", edit_graph(set_dtype), True, "input orbits is float32, not float64"),
    "output of another shape": ("neo_classifier", edit_graph(set_shape), True, "class_probabilities has the shape"),
    "output of another name": ("neo_classifier", edit_graph(rename_output), True, "has the outputs"),
    "no describe": (
        "neo_classifier",
        edit_graph(lambda graph: graph.signature_def.pop("describe")),
        True,
        "signature describe is missing",
    ),
    "NaN weights": ("neo_classifier", edit_graph(nan_weights), True, "not finite"),
    "half copied": ("neo_classifier", cut("saved_model.pb"), False, "saved_model.pb has changed"),
    "no sums": ("neo_classifier", lambda f: (f / "SHA256SUMS").unlink(), False, "no readable SHA256SUMS"),
    "manifest without a key": (
        "neo_classifier",
        edit_manifest(lambda content: content.pop("training_data")),
        True,
        "lacks training_data",
    ),
    "no warm-up": ("neo_classifier", lambda f: shutil.rmtree(f / "assets.extra"), True, "warm-up records are missing"),
    "truncated warm-up": (
        "neo_classifier",
        cut("assets.extra/tf_serving_warmup_requests"),
        True,
        "warm-up records are truncated",
    ),
    "truncated forest": ("neo_anomaly", cut("forest.onnx"), True, "forest.onnx is truncated"),
    "forest with another input": ("neo_anomaly", edit_forest(rename_input), True, "has the inputs ['elements']"),
    "forest with another output": ("neo_anomaly", edit_forest(narrow_output), True, "score is no tensor of doubles"),
    "NaN thresholds": ("neo_anomaly", edit_forest(nan_thresholds), True, "thresholds not finite"),
    "tables of another forest": ("neo_anomaly", edit_tables(shift_a_split), True, "disagree"),
    "tables with other leaves": ("neo_anomaly", edit_tables(wrong_leaves), True, "scores a known orbit"),
    "truncated tables": ("neo_anomaly", cut("forest.npz"), True, "forest.npz is truncated"),
    "table missing": (
        "neo_anomaly",
        edit_tables(lambda tables: tables.pop("quantile_scores")),
        True,
        "lacks quantile_scores",
    ),
    "NaN score threshold": (
        "neo_anomaly",
        edit_tables(lambda tables: tables.update(score_threshold=np.array(np.nan))),
        True,
        "score_threshold holds",
    ),
}
CHECKS = {"neo_classifier": network_checks.check_network, "neo_anomaly": forest_checks.check_forest}


def test_what_is_not_damaged_passes(models):
    for name, check in CHECKS.items():
        check(models / name / str(VERSION))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corrupt_candidate_is_refused_by_name(models, corruption):
    name, damage, summed, reason = CORRUPTIONS[corruption]
    good = models / name / str(VERSION)

    def damaged_later(folder):
        damage(folder)
        if summed:
            publish.write_sums(folder)
        CHECKS[name](folder)

    def publish_corrupt():
        with publish.staged_version(models, name, VERSION + 1, checks=[damaged_later]) as folder:
            shutil.copytree(good, folder, dirs_exist_ok=True)

    with pytest.raises(publish.RefusedError) as caught:
        publish_corrupt()
    assert reason in str(caught.value)
    assert publish.versions(models, name) == [VERSION]
    assert not list((models / name).glob(".staging-*"))
    publish.verify(good)
