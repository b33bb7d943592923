# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
from numpy.typing import NDArray

def minimum_distances(
    objects: NDArray[np.float64],
    references: NDArray[np.float64],
    reference_row: NDArray[np.intp],
    points: int,
    tolerance: float,
    out: NDArray[np.float64],
) -> None: ...
def distances(
    objects: NDArray[np.float64], reference: NDArray[np.float64], points: int, out: NDArray[np.float64]
) -> None: ...
