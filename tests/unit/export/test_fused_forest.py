# SPDX-License-Identifier: GPL-3.0-or-later
"""The fused forest in the real onnxruntime against scikit-learn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.pipeline import Pipeline

from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import flat_orbits
from export.forest import fused_forest, isolation_forest
from export.forest.fused_forest import ParityError
from export.forest.isolation_forest import FEATURE_NAMES, ForestSettings, OrbitFeatures
from export.publishing import publish
from export.publishing.publish import Published


def population(count: int, seed: int) -> np.ndarray:
    return flat_orbits(count, seed)[list(MODEL_COLUMNS)].to_numpy()


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return isolation_forest.fit(population(3_000, 1), ForestSettings(trees=60, max_samples=700))


@pytest.fixture(scope="module")
def graph(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("forest") / "forest.onnx"
    path.write_bytes(fused_forest.to_onnx(pipeline).SerializeToString())
    return path


def test_scores_are_scikit_learns(pipeline: Pipeline, graph: Path) -> None:
    columns = population(20_000, 2)
    scores, _ = fused_forest.run(graph, columns)
    assert scores.dtype == np.float64
    assert np.abs(scores - isolation_forest.scores(pipeline, columns)).max() < 1e-12


def test_features_are_the_transformers(pipeline: Pipeline, graph: Path) -> None:
    columns = population(1_000, 3)
    _, features = fused_forest.run(graph, columns)
    assert features == pytest.approx(OrbitFeatures().fit(columns).transform(columns), rel=1e-14, abs=1e-14)


def test_thresholds_that_differ_only_beyond_float32(tmp_path: Path) -> None:
    """scikit-learn compares float32(x) with its thresholds: values a little beside one must fall the same way."""
    columns = population(2_000, 4)
    pipeline = isolation_forest.fit(columns, ForestSettings(trees=30, max_samples=2_000))
    path = tmp_path / "forest.onnx"
    path.write_bytes(fused_forest.to_onnx(pipeline).SerializeToString())
    trees = [estimator.tree_ for estimator in pipeline["forest"].estimators_]
    # Feature 1 is the eccentricity and feature 3 is H, which reach the trees as they are.
    beside = []
    for column, feature in ((1, 1), (5, 3)):
        cuts = np.concatenate([tree.threshold[tree.feature == feature] for tree in trees])
        for shift in (-1e-9, -1e-12, 0.0, 1e-12, 1e-9):
            rows = columns[np.arange(len(cuts)) % len(columns)].copy()
            rows[:, column] = cuts * (1.0 + shift)
            beside.append(rows)
    rows = np.concatenate(beside)
    rows = rows[(rows[:, 1] >= 0) & (rows[:, 1] < 1)]
    scores, _ = fused_forest.run(path, rows)
    assert np.abs(scores - isolation_forest.scores(pipeline, rows)).max() < 1e-12


def test_the_forest_is_one_node(graph: Path) -> None:
    model = onnx.load(graph)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("TreeEnsemble") == 1
    assert len(kinds) < 40
    shapes = {
        value.name: [d.dim_value or None for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"orbits": [None, 6], "score": [None], "features": [None, len(FEATURE_NAMES)]}


@pytest.mark.parametrize("rows", [0, 1])
def test_small_batches(graph: Path, rows: int) -> None:
    scores, features = fused_forest.run(graph, population(1, 5)[:rows])
    assert (scores.shape, features.shape) == ((rows,), (rows, len(FEATURE_NAMES)))


@pytest.mark.parametrize("eccentricity", [1.0, 1.2, 50.0])
def test_unbound_orbits_have_a_score(pipeline: Pipeline, graph: Path, eccentricity: float) -> None:
    columns = np.array([[0.25, eccentricity, 122.7, 24.6, 241.8, 22.1]])
    scores, features = fused_forest.run(graph, columns)
    assert np.isfinite(features).all()
    assert scores == pytest.approx(isolation_forest.scores(pipeline, columns), abs=1e-12)


def test_tisserand_parameter_of_eros() -> None:
    """JPL's t_jup of (433) Eros is 4.582."""
    eros = np.array([[1.13297258972867, 0.222951264743428, 10.8305412182992, 304.3, 178.9, 10.4]])
    features = dict(zip(FEATURE_NAMES, OrbitFeatures().fit(eros).transform(eros)[0], strict=True))
    assert features["jupiter_tisserand"] == pytest.approx(4.582, abs=5e-4)
    assert 10 ** features["log10_semi_major_axis_au"] == pytest.approx(1.45804572908104, rel=1e-9)
    assert 10 ** features["log10_aphelion_distance_au"] == pytest.approx(1.78311886843341, rel=1e-9)


def test_a_difference_stops_the_export() -> None:
    scores = np.linspace(0.4, 0.6, 50)
    assert fused_forest.check_parity(scores, scores) == 0.0
    assert fused_forest.check_parity(scores + 5e-8, scores) == pytest.approx(5e-8, rel=1e-3)
    with pytest.raises(ParityError, match="differ"):
        fused_forest.check_parity(scores + np.eye(50)[3] * 2e-7, scores)
    with pytest.raises(ParityError, match="differ"):
        fused_forest.check_parity(np.full(50, np.nan), scores)
    swapped = np.array([0.5, 0.5 + 1e-9])
    with pytest.raises(ParityError, match="rank"):
        fused_forest.check_parity(swapped[::-1], swapped)


def test_average_path_length_is_the_papers() -> None:
    assert isolation_forest.average_path_length([0, 1, 2]).tolist() == [0.0, 0.0, 1.0]
    # c(256) = 10.24, the height that Liu et al. 2008 normalise their standard sample by.
    assert isolation_forest.average_path_length(256) == pytest.approx(10.2448, abs=1e-4)


def test_tables_rebuild_the_scores(pipeline: Pipeline) -> None:
    """Walking the padded tables gives scikit-learn's path lengths, so explanations start from the truth."""
    columns = population(200, 6)
    tables = isolation_forest.tree_tables(pipeline)
    features = OrbitFeatures().fit(columns).transform(columns).astype(np.float32)
    trees = np.arange(len(tables["node_count"]))
    paths = []
    for row in features:
        nodes = np.zeros(len(trees), np.int64)
        while (inner := tables["feature"][trees, nodes] >= 0).any():
            cut = tables["threshold"][trees, nodes]
            left = row[np.maximum(tables["feature"][trees, nodes], 0)] <= cut
            children = np.where(left, tables["children_left"][trees, nodes], tables["children_right"][trees, nodes])
            nodes = np.where(inner, children, nodes)
        paths.append(tables["expected_path_length"][trees, nodes].mean())
    scale = isolation_forest.average_path_length(tables["max_samples"])
    assert 2.0 ** (-np.array(paths) / scale) == pytest.approx(isolation_forest.scores(pipeline, columns), abs=1e-12)


def test_expected_path_length_of_a_root_is_its_samples_mean(pipeline: Pipeline) -> None:
    tables = isolation_forest.tree_tables(pipeline)
    tree = pipeline["forest"].estimators_[0].tree_
    leaves = tree.children_left < 0
    lengths = isolation_forest.leaf_path_lengths(tree)[leaves]
    mean = np.average(lengths, weights=tree.n_node_samples[leaves])
    assert tables["expected_path_length"][0, 0] == pytest.approx(mean, rel=1e-12)


@pytest.fixture(scope="module")
def published(tiny_models: dict[str, Published]) -> Published:
    return tiny_models["neo_anomaly"]


def test_published_folder(published: Published) -> None:
    publish.verify(published.folder)
    names = {path.name for path in published.folder.iterdir()}
    assert names == {"forest.onnx", "forest.npz", "manifest.json", "SHA256SUMS", "MODEL_CARD.md"}
    manifest = json.loads((published.folder / "manifest.json").read_text())
    assert manifest["training_data"]["kind"] == "synthetic"
    assert manifest["metrics"]["largest_difference_from_sklearn"] < 1e-12
    assert manifest["metrics"]["fraction_called_unusual"] == pytest.approx(0.01, abs=0.002)


def test_published_tables(published: Published, tiny_catalogue: Any) -> None:
    columns = tiny_catalogue.objects[list(MODEL_COLUMNS)].to_numpy()
    scores, features = fused_forest.run(published.folder / "forest.onnx", columns)
    with np.load(published.folder / "forest.npz", allow_pickle=False) as tables:
        assert tables["feature_names"].tolist() == list(FEATURE_NAMES)
        assert tables["quantile_scores"][[0, -1]] == pytest.approx([scores.min(), scores.max()])
        assert (np.diff(tables["quantile_scores"]) >= 0).all()
        assert (np.diff(tables["quantile_levels"]) > 0).all()
        assert tables["feature_median"] == pytest.approx(np.median(features, axis=0))
        assert (scores >= tables["score_threshold"]).mean() == pytest.approx(0.01, abs=0.002)
        median = np.interp(0.5, tables["quantile_levels"], tables["quantile_scores"])
        assert median == pytest.approx(np.median(scores))
