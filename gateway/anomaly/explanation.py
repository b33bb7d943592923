# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a score is what it is: exact Shapley values of the mean path length, said in units of the score.

The forest's score is 2^(-E[h] / c) of the mean path length E[h] (Liu, Ting & Zhou 2008). E[h] is shared out among the
features by TreeSHAP's game with path-dependent expectations (Lundberg et al. 2020), exactly: `gateway.anomaly._shap`.
A shorter path is more unusual, so that signs are turned round; then a row's values are multiplied by one factor,
which makes them add up, with the score of the mean path, to the row's score.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gateway.anomaly._shap import Trees

Floats = NDArray[np.float64]

METHOD = "shap"

# Nearer to the mean path than this, the score is its tangent to 1e-14.
_AT_MEAN = 1e-6


@dataclass(frozen=True, slots=True)
class ForestTables:
    """What explanations need of a forest; made from `export.forest.isolation_forest.tree_tables`.

    Attributes:
        trees: its trees.
        count: how many.
        mean_path_length: of the training samples, where explanations start.
        normal_path_length: c(max_samples), by which the score normalises.
        feature_names: F names.
    """

    trees: Trees
    count: int
    mean_path_length: float
    normal_path_length: float
    feature_names: tuple[str, ...]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Lay the padded tables of all trees end to end, children by their place in the whole.

        Raises:
            KeyError: a table is missing.
            ValueError: these are no trees.
        """
        trees, nodes = arrays["feature"].shape
        offset = (np.arange(trees, dtype=np.int32) * nodes)[:, None]

        def children(name: str) -> NDArray[np.int32]:
            table = arrays[name].astype(np.int32)
            return np.where(table >= 0, table + offset, np.int32(-1)).ravel()

        names = tuple(str(name) for name in arrays["feature_names"])
        return cls(
            trees=Trees(
                left=children("children_left"),
                right=children("children_right"),
                feature=arrays["feature"].astype(np.int32).ravel(),
                threshold=arrays["threshold"].astype(np.float64).ravel(),
                value=arrays["expected_path_length"].astype(np.float64).ravel(),
                samples=arrays["n_node_samples"].astype(np.int32).ravel(),
                roots=np.ascontiguousarray(offset.ravel()),
                features=len(names),
            ),
            count=trees,
            mean_path_length=float(arrays["expected_path_length"][:, 0].mean()),
            normal_path_length=_average_path_length(int(arrays["max_samples"])),
            feature_names=names,
        )

    @property
    def base_score(self) -> float:
        """The score of the forest's mean path length, where explanations start."""
        return float(2.0 ** (-self.mean_path_length / self.normal_path_length))


def path_length_shares(tables: ForestTables, features: Floats) -> Floats:
    """Shapley values (N, F) of the mean path length of N rows of features (N, F); they add up to it less the mean's."""
    # The forest compares in float32, as scikit-learn does.
    rows = np.ascontiguousarray(features, dtype=np.float32)
    shares = np.empty(rows.shape, dtype=np.float64)
    tables.trees.shapley(rows, shares)
    shares /= tables.count
    return shares


def contributions(tables: ForestTables, features: Floats, scores: Floats) -> Floats:
    """What each feature added to each score.

    Args:
        tables: of the forest that scored.
        features: (N, F) what it looked at.
        scores: (N,) what it said.

    Returns:
        (N, F), positive towards unusual; `tables.base_score` plus a row's sum is the row's score.
    """
    shortened = -path_length_shares(tables, features)
    total = shortened.sum(axis=1)
    # Rows at the very mean have nothing to share out; the slope of the score there stands in for 0 / 0.
    at_mean = np.abs(total) < _AT_MEAN
    slope = np.log(2.0) / tables.normal_path_length * tables.base_score
    factor = np.where(at_mean, slope, (scores - tables.base_score) / np.where(at_mean, 1.0, total))
    result: Floats = shortened * factor[:, None]
    return result


def _average_path_length(samples: int) -> float:
    """c(n) of Liu, Ting & Zhou 2008, eq. 1, for n > 2."""
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)
