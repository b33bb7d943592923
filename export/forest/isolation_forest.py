# SPDX-License-Identifier: GPL-3.0-or-later
"""The Isolation Forest of the real population: how unlike other near-Earth objects an orbit and its brightness are.

Liu, Ting & Zhou 2008, ICDM, "Isolation Forest": score 2^(-E[h] / c(max_samples)), in (0, 1), higher = more unusual.
Large samples matter most for finding the known oddities, and many trees for agreeing between seeds; the defaults are
those of docs/models/forest-selection.md.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline

FEATURE_NAMES: Final = (
    "log10_semi_major_axis_au",
    "eccentricity",
    "inclination_deg",
    "absolute_magnitude_h",
    "perihelion_distance_au",
    "log10_aphelion_distance_au",
    "jupiter_tisserand",
)

JUPITER_SEMI_MAJOR_AXIS_AU: Final = 5.20336301
"""Jupiter's mean semi-major axis, J2000 (Standish, "Keplerian elements for approximate positions", JPL)."""

SMALLEST_ONE_MINUS_ECCENTRICITY: Final = 1e-4
"""Parabolas and hyperbolas have no a and Q: there the features take those of e = 0.9999."""

QUANTILE_LEVELS: Final = np.unique(np.concatenate([np.linspace(0.0, 1.0, 1001), np.linspace(0.99, 1.0, 1001)]))

Floats = NDArray[np.float64]


class OrbitFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """Raw columns (N, 6) of `export.data.cleaning.MODEL_COLUMNS` -> features (N, 7) of `FEATURE_NAMES`, float64.

    The Tisserand parameter to Jupiter is a_J / a + 2 cos(i) sqrt(a (1 - e^2) / a_J) (Murray & Dermott 1999,
    eq. 3.46), which stays defined for unbound orbits.
    """

    def fit(self, X: ArrayLike, y: object = None) -> "OrbitFeatures":  # noqa: ARG002, N803 - sklearn's signature
        """Nothing is learnt; sklearn asks for the number of inputs."""
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def transform(self, X: ArrayLike) -> Floats:  # noqa: N803 - sklearn's signature
        """The features of each row."""
        q, e, inclination_deg, _, _, magnitude_h = np.asarray(X, dtype=np.float64).T
        one_minus_e = np.maximum(1.0 - e, SMALLEST_ONE_MINUS_ECCENTRICITY)
        a_au = q / one_minus_e
        aphelion_au = a_au * (1.0 + e)
        tisserand = JUPITER_SEMI_MAJOR_AXIS_AU * (1.0 - e) / q + 2.0 * np.cos(np.radians(inclination_deg)) * np.sqrt(
            q * (1.0 + e) / JUPITER_SEMI_MAJOR_AXIS_AU
        )
        return np.stack([np.log10(a_au), e, inclination_deg, magnitude_h, q, np.log10(aphelion_au), tisserand], axis=1)


@dataclass(frozen=True, slots=True)
class ForestSettings:
    """Size and goal of the forest.

    Attributes:
        trees: how many.
        max_samples: objects each tree sees.
        false_positive_target: fraction of the population that is to be called unusual.
    """

    trees: int = 200
    max_samples: int = 4096
    false_positive_target: float = 0.01
    seed: int = 11


def fit(columns: Floats, settings: ForestSettings) -> Pipeline:
    """Fit the pipeline of features and forest to a population of shape (N, 6)."""
    forest = IsolationForest(
        n_estimators=settings.trees,
        max_samples=min(settings.max_samples, len(columns)),
        random_state=settings.seed,
        n_jobs=1,
    )
    return Pipeline([("features", OrbitFeatures()), ("forest", forest)]).fit(columns)


def scores(pipeline: Pipeline, columns: Floats) -> Floats:
    """Scores of Liu et al. (2008) as scikit-learn computes them, shape (N,)."""
    result: Floats = -pipeline.score_samples(columns)
    return result


def average_path_length(samples: ArrayLike) -> Floats:
    """The mean depth c(n) of an unsuccessful search in a binary tree of n samples (Liu et al. 2008, eq. 1)."""
    n = np.asarray(samples, dtype=np.float64)
    safe = np.maximum(n, 3.0)
    large = 2.0 * (np.log(safe - 1.0) + np.euler_gamma) - 2.0 * (safe - 1.0) / safe
    result: Floats = np.where(n <= 1.0, 0.0, np.where(n == 2.0, 1.0, large))
    return result


def tree_tables(pipeline: Pipeline) -> dict[str, NDArray[Any]]:
    """The forest as arrays for explanations, each tree padded to the largest.

    Returns:
        `children_left`, `children_right` (T, M) int32, -1 at leaves and in the padding; `feature` (T, M) int32, -2
        there; `threshold` (T, M) float64, go left where float32(feature) <= threshold; `n_node_samples` (T, M) int32,
        0 in the padding; `expected_path_length` (T, M) float64, the mean path length of the training samples that
        pass each node; `node_count` (T,) int32; `max_samples` int64; `baseline_path_length` float64, its mean over
        the roots, from which contributions of features are counted.
    """
    forest: IsolationForest = pipeline["forest"]
    trees = [estimator.tree_ for estimator in forest.estimators_]
    counts = np.array([tree.node_count for tree in trees], dtype=np.int32)
    shape = (len(trees), int(counts.max()))
    tables: dict[str, NDArray[Any]] = {
        "children_left": np.full(shape, -1, np.int32),
        "children_right": np.full(shape, -1, np.int32),
        "feature": np.full(shape, -2, np.int32),
        "threshold": np.zeros(shape, np.float64),
        "n_node_samples": np.zeros(shape, np.int32),
        "expected_path_length": np.zeros(shape, np.float64),
    }
    for row, tree in enumerate(trees):
        nodes = slice(0, tree.node_count)
        for name in ("children_left", "children_right", "feature", "threshold", "n_node_samples"):
            tables[name][row, nodes] = getattr(tree, name)
        tables["expected_path_length"][row, nodes] = _expected_path_lengths(tree)
    tables["node_count"] = counts
    tables["max_samples"] = np.array(forest._max_samples)  # noqa: SLF001 - the resolved number has no public name
    tables["baseline_path_length"] = tables["expected_path_length"][:, 0].mean(keepdims=True).squeeze()
    return tables


def leaf_path_lengths(tree: Any) -> Floats:
    """Depth of each node, root 0, plus c(samples) where it is a leaf; shape (nodes,)."""
    depth = np.zeros(tree.node_count)
    # scikit-learn numbers children after their parents.
    for node in np.flatnonzero(tree.children_left >= 0):
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1.0
    return depth + np.where(tree.children_left < 0, average_path_length(tree.n_node_samples), 0.0)


def _expected_path_lengths(tree: Any) -> Floats:
    expected = leaf_path_lengths(tree)
    for node in np.flatnonzero(tree.children_left >= 0)[::-1]:
        children = [tree.children_left[node], tree.children_right[node]]
        expected[node] = np.average(expected[children], weights=tree.n_node_samples[children])
    return expected


def population_tables(population_scores: Floats, features: Floats, settings: ForestSettings) -> dict[str, NDArray[Any]]:
    """What turns a score into a percentile and a label.

    Returns:
        `quantile_levels`, `quantile_scores` (K,), rising; `score_threshold`, from which an object is called unusual;
        `feature_names` (F,) text; `feature_median` (F,) of the population.
    """
    return {
        "quantile_levels": QUANTILE_LEVELS,
        "quantile_scores": np.quantile(population_scores, QUANTILE_LEVELS),
        "score_threshold": np.quantile(population_scores, 1.0 - settings.false_positive_target),
        "feature_names": np.array(FEATURE_NAMES),
        "feature_median": np.median(features, axis=0),
    }
