# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of a potentially hazardous asteroid."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

PHA_MAX_EARTH_MOID_AU: Final = 0.05
PHA_MAX_ABSOLUTE_MAGNITUDE_H: Final = 22.0


def potentially_hazardous(earth_moid_au: ArrayLike, absolute_magnitude_h: ArrayLike) -> NDArray[np.bool_]:
    """Whether each object meets the definition: Earth MOID <= 0.05 au and H <= 22.0, boundaries included.

    Source: CNEOS, "NEO Basics: NEO Groups", potentially hazardous asteroids.

    Args:
        earth_moid_au: minimum orbit intersection distance with Earth's orbit, any shape.
        absolute_magnitude_h: H in magnitudes, a shape that broadcasts with it.

    Returns:
        Booleans of the broadcast shape; False where either number is NaN, that is unknown.
    """
    moid_au = np.asarray(earth_moid_au, dtype=np.float64)
    magnitude_h = np.asarray(absolute_magnitude_h, dtype=np.float64)
    meets: NDArray[np.bool_] = np.asarray(
        (moid_au <= PHA_MAX_EARTH_MOID_AU) & (magnitude_h <= PHA_MAX_ABSOLUTE_MAGNITUDE_H)
    )
    return meets
