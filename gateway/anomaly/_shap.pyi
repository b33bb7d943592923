# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
from numpy.typing import NDArray

class Trees:
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
    def shapley(self, rows: NDArray[np.float32], out: NDArray[np.float64]) -> None: ...
