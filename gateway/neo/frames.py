# SPDX-License-Identifier: GPL-3.0-or-later
"""The two frames of this package: ecliptic of J2000 and ICRF, one rotation about x apart.

The rotation is by `units.OBLIQUITY_J2000_ARCSEC`, as JPL and the MPC define the ecliptic of their elements;
the tie between the mean equator of J2000 and the ICRF (0.02 arcsec) is left out, as they do.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gateway.neo.errors import ColumnShapeError
from gateway.neo.units import OBLIQUITY_J2000_ARCSEC

Floats = NDArray[np.float64]

_OBLIQUITY_RAD: Final = float(np.radians(OBLIQUITY_J2000_ARCSEC / 3600.0))


def ecliptic_to_icrf(vectors: ArrayLike) -> Floats:
    """Turn ecliptic J2000 positions (..., 3) or states (..., 6) to ICRF axes, units kept.

    Raises:
        ColumnShapeError: the last axis is neither 3 nor 6 long.
    """
    return _rotate_about_x(vectors, _OBLIQUITY_RAD)


def icrf_to_ecliptic(vectors: ArrayLike) -> Floats:
    """Turn ICRF positions (..., 3) or states (..., 6) to the ecliptic of J2000; undoes `ecliptic_to_icrf`.

    Raises:
        ColumnShapeError: the last axis is neither 3 nor 6 long.
    """
    return _rotate_about_x(vectors, -_OBLIQUITY_RAD)


def _rotate_about_x(vectors: ArrayLike, angle_rad: float) -> Floats:
    table = np.asarray(vectors, np.float64)
    if table.ndim == 0 or table.shape[-1] not in {3, 6}:
        raise ColumnShapeError(f"vectors must have 3 or 6 components on their last axis, not {table.shape}")
    triples = table.reshape(*table.shape[:-1], -1, 3)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    x, y, z = triples[..., 0], triples[..., 1], triples[..., 2]
    return np.stack([x, cos * y - sin * z, sin * y + cos * z], axis=-1).reshape(table.shape)
