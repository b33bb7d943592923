# SPDX-License-Identifier: GPL-3.0-or-later
"""Orbit classes of near-Earth objects, by JPL's cuts.

Source: JPL Small-Body Database, "Orbit Classes" (codes IEO, ATE, APO, AMO) and CNEOS "NEO Groups":
Apollo a > 1, q < 1.017; Amor a > 1, 1.017 < q < 1.3; Aten a < 1, Q > 0.983; Atira a < 1, Q < 0.983 (au).

JPL leaves the boundaries themselves in no class. Here every orbit is in exactly one:
q = 1.017 is Amor, q = 1.3 is OTHER, Q = 0.983 is Aten, a = 1 is Apollo, and e >= 1 is OTHER.
The MPC cuts at 1.0 instead of 1.017 and 0.983; its labels therefore differ for some objects.
"""

import enum
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gateway.neo.domain import require_orbit_shape

Number = TypeVar("Number", float, NDArray[np.float64])

APOLLO_MAX_PERIHELION_AU: Final = 1.017
NEO_MAX_PERIHELION_AU: Final = 1.3
ATIRA_MAX_APHELION_AU: Final = 0.983


class OrbitClass(enum.IntEnum):
    """The class of an orbit; the numbers are those of the public contract (0 is kept for "unspecified")."""

    ATIRA = 1
    ATEN = 2
    APOLLO = 3
    AMOR = 4
    OTHER = 5


_ATIRA, _ATEN, _APOLLO, _AMOR, _OTHER = (np.array(number, np.int8) for number in OrbitClass)


def classify(perihelion_distance_au: ArrayLike, eccentricity: ArrayLike) -> NDArray[np.int8]:
    """The class of each orbit, as numbers of `OrbitClass`.

    Args:
        perihelion_distance_au: q, any shape.
        eccentricity: e, a shape that broadcasts with q.

    Returns:
        int8 of the broadcast shape.

    Raises:
        InvalidOrbitError: q is not positive and finite, or e is negative or not finite.
    """
    q, e = require_orbit_shape(perihelion_distance_au, eccentricity)
    # From the widest class to the narrowest; np.select would take 25 us for a few orbits.
    number = np.where(q < NEO_MAX_PERIHELION_AU, _AMOR, _OTHER)
    np.copyto(number, _APOLLO, where=q < APOLLO_MAX_PERIHELION_AU)
    # Compared without dividing by 1 - e, so that e = 1 needs no special case.
    gap = 1.0 - e
    np.copyto(number, _ATEN, where=q < gap)
    np.copyto(number, _ATIRA, where=is_atira(q, e))
    np.copyto(number, _OTHER, where=gap <= 0.0)
    return number


def is_atira(perihelion_distance_au: Number, eccentricity: Number) -> Any:
    """Whether the aphelion is within 0.983 au: for numbers and for arrays of them, unchecked."""
    return perihelion_distance_au * (1.0 + eccentricity) < ATIRA_MAX_APHELION_AU * (1.0 - eccentricity)


def why_other(perihelion_distance_au: float, eccentricity: float) -> str:
    """Why one orbit is in class OTHER, in words; empty when it is not.

    Raises:
        InvalidOrbitError: as `classify`.
    """
    if classify(perihelion_distance_au, eccentricity) != OrbitClass.OTHER:
        return ""
    if eccentricity >= 1.0:
        return f"the orbit is not bound to the Sun: eccentricity {eccentricity:g} is 1 or more"
    return (
        f"not a near-Earth object: perihelion distance {perihelion_distance_au:g} au "
        f"is not below {NEO_MAX_PERIHELION_AU:g} au"
    )
