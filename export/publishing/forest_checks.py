# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a candidate folder holds the forest that the anomaly pod speaks to: graph, tables, and their agreement."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from export.data.cleaning import MODEL_COLUMNS
from export.forest.fused_forest import FEATURES_OUTPUT, ORBITS_INPUT, SCORE_OUTPUT, run
from export.forest.isolation_forest import FEATURE_NAMES, average_path_length
from export.publishing.manifest_checks import check_sums, read_manifest
from export.publishing.publish import RefusedError
from gateway.quiet_onnxruntime import onnxruntime

GRAPH_FILE: Final = "forest.onnx"
TABLES_FILE: Final = "forest.npz"

# The tables that the pod reads (gateway/anomaly/scorer.py and explanation.py); further ones are welcome.
_TREE_TABLES: Final = ("children_left", "children_right", "feature", "threshold", "n_node_samples")
_TABLES: Final = (
    *_TREE_TABLES,
    "expected_path_length",
    "node_count",
    "max_samples",
    "baseline_path_length",
    "quantile_levels",
    "quantile_scores",
    "score_threshold",
    "feature_names",
    "feature_median",
)
_INPUTS: Final = {ORBITS_INPUT: (TensorProto.DOUBLE, len(MODEL_COLUMNS))}
_OUTPUTS: Final = {SCORE_OUTPUT: (TensorProto.DOUBLE, None), FEATURES_OUTPUT: (TensorProto.DOUBLE, len(FEATURE_NAMES))}

Tables = Mapping[str, NDArray[Any]]


def check_forest(folder: Path) -> None:
    """Refuse a folder that the anomaly pod could not serve, or would serve wrongly.

    Raises:
        RefusedError: says what is wrong.
    """
    check_sums(folder)
    manifest = read_manifest(folder)
    graph = _read_graph(folder)
    tables = _read_tables(folder)
    _check_values(tables, manifest)
    _check_agreement(graph, tables)
    _check_known_orbit(folder, tables)


def _read_graph(folder: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_model(folder / GRAPH_FILE)
        onnx.checker.check_model(model)
    except OSError as error:
        raise RefusedError(f"{GRAPH_FILE} cannot be read: {error.strerror}") from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise RefusedError(f"{GRAPH_FILE} is truncated or no ONNX model: {str(error).splitlines()[0]}") from error
    for side, wanted, found in (
        ("input", _INPUTS, {value.name: value for value in model.graph.input}),
        ("output", _OUTPUTS, {value.name: value for value in model.graph.output}),
    ):
        if set(found) != set(wanted):
            raise RefusedError(f"{GRAPH_FILE} has the {side}s {sorted(found)}, not {sorted(wanted)}")
        for name, (kind, width) in wanted.items():
            tensor = found[name].type.tensor_type
            if tensor.elem_type != kind:
                raise RefusedError(f"{GRAPH_FILE}: {side} {name} is no tensor of doubles")
            sizes = [int(dim.dim_value) for dim in tensor.shape.dim]
            if len(sizes) != (1 if width is None else 2) or (width is not None and sizes[1] != width):
                raise RefusedError(f"{GRAPH_FILE}: {side} {name} has the shape {sizes}, not (N, {width})")
    return model


def _read_tables(folder: Path) -> Tables:
    try:
        # By way of memory: of a broken archive numpy leaves the file open.
        with np.load(io.BytesIO((folder / TABLES_FILE).read_bytes()), allow_pickle=False) as archive:
            tables = dict(archive)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise RefusedError(f"{TABLES_FILE} is truncated or no archive of arrays: {error}") from error
    missing = sorted(set(_TABLES) - tables.keys())
    if missing:
        raise RefusedError(f"{TABLES_FILE} lacks {', '.join(missing)}")
    return tables


def _check_values(tables: Tables, manifest: Mapping[str, Any]) -> None:
    for name, table in sorted(tables.items()):
        if table.dtype.kind == "f" and not np.isfinite(table).all():
            raise RefusedError(f"{TABLES_FILE}: {name} holds {int((~np.isfinite(table)).sum())} values not finite")
    if tuple(tables["feature_names"]) != FEATURE_NAMES:
        raise RefusedError(f"{TABLES_FILE}: the features are {list(tables['feature_names'])}, not the graph's")
    levels, scores = tables["quantile_levels"], tables["quantile_scores"]
    if levels.shape != scores.shape or (np.diff(levels) <= 0.0).any() or (np.diff(scores) < 0.0).any():
        raise RefusedError(f"{TABLES_FILE}: the percentile table does not rise")
    threshold = float(tables["score_threshold"])
    if not 0.0 < threshold < 1.0:
        raise RefusedError(f"{TABLES_FILE}: score_threshold is {threshold}, outside (0, 1)")
    if threshold != manifest.get("score_threshold", threshold):
        raise RefusedError(f"{TABLES_FILE}: score_threshold is {threshold}, the manifest's is another")


def _check_agreement(model: onnx.ModelProto, tables: Tables) -> None:
    """The explanations walk the tables, the scores walk the graph: both must be the same trees."""
    nodes = [node for node in model.graph.node if node.op_type == "TreeEnsemble"]
    if len(nodes) != 1:
        raise RefusedError(f"{GRAPH_FILE} has {len(nodes)} TreeEnsemble nodes, not one")
    attributes = {attribute.name: attribute for attribute in nodes[0].attribute}
    graph_splits = numpy_helper.to_array(attributes["nodes_splits"].t)
    graph_features = np.array(attributes["nodes_featureids"].ints)
    if not np.isfinite(graph_splits).all():
        raise RefusedError(f"{GRAPH_FILE} holds {int((~np.isfinite(graph_splits)).sum())} thresholds not finite")
    if not np.isfinite(numpy_helper.to_array(attributes["leaf_weights"].t)).all():
        raise RefusedError(f"{GRAPH_FILE} holds leaf weights not finite")
    is_split = tables["children_left"] >= 0
    trees = len(attributes["tree_roots"].ints)
    if trees != len(is_split):
        raise RefusedError(f"{TABLES_FILE} has {len(is_split)} trees, {GRAPH_FILE} has {trees}")
    same = is_split.sum() == len(graph_splits) and np.array_equal(tables["feature"][is_split], graph_features)
    if not same or not np.array_equal(tables["threshold"][is_split], graph_splits):
        raise RefusedError(f"{TABLES_FILE} and {GRAPH_FILE} disagree: their splits are not the same")


def _check_known_orbit(folder: Path, tables: Tables) -> None:
    """(433) Eros is scored by the graph as by a walk down the tables; and it is an ordinary object's score."""
    eros = np.array([[1.133, 0.2228, 10.83, 304.27, 178.93, 10.4]])
    try:
        score, features = run(folder / GRAPH_FILE, eros)
    except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException as error:
        raise RefusedError(f"{GRAPH_FILE} does not run: {str(error).splitlines()[0]}") from error
    expected = _score_by_tables(tables, features[0])
    if not abs(score[0] - expected) <= 1e-9:
        raise RefusedError(f"{GRAPH_FILE} scores a known orbit {score[0]:.6f}, {TABLES_FILE} {expected:.6f}")


def _score_by_tables(tables: Tables, features: NDArray[np.float64]) -> float:
    """2^(-E[h] / c(max_samples)), Liu, Ting & Zhou 2008: the path length at a leaf is its expected path length."""
    seen = features.astype(np.float32)
    lengths = []
    for tree in range(len(tables["feature"])):
        node = 0
        while tables["children_left"][tree, node] >= 0:
            goes_left = seen[tables["feature"][tree, node]] <= tables["threshold"][tree, node]
            node = tables["children_left" if goes_left else "children_right"][tree, node]
        lengths.append(tables["expected_path_length"][tree, node])
    return float(2.0 ** (-np.mean(lengths) / float(average_path_length(int(tables["max_samples"])))))
