# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
from numpy.typing import NDArray

class Trees:
    """The trees of a forest, laid out for walking.

    Args (one value a node, all trees end to end, children after their parents):
        left, right: places of the children, -1 at leaves.
        feature: split on, ignored at leaves.
        threshold: go left where float32(feature) <= threshold.
        value: mean of the leaves below, weighted by samples; a leaf's own.
        samples: training samples that passed.
        roots: (T,) places of the roots.
        features: how many there are, 8 at most.

    Raises:
        ValueError: these are no trees.
    """

    features: int

    def __init__(
        self,
        left: NDArray[np.int32],
        right: NDArray[np.int32],
        feature: NDArray[np.int32],
        threshold: NDArray[np.float64],
        value: NDArray[np.float64],
        samples: NDArray[np.int32],
        roots: NDArray[np.int32],
        features: int,
    ) -> None: ...
    def shapley(self, rows: NDArray[np.float32], out: NDArray[np.float64]) -> None:
        """Fill `out` (N, F) with each row's Shapley values, summed over the trees; `rows` is (N, F)."""
