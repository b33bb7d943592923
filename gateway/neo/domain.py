# SPDX-License-Identifier: GPL-3.0-or-later
"""The domain of orbital elements: what is accepted, checked column by column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gateway.neo.errors import InvalidOrbitError, Violation


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval."""

    low: float
    high: float

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where the values lie inside; NaN never does."""
        inside: NDArray[np.bool_] = (values >= self.low) & (values <= self.high)
        return inside

    def __str__(self) -> str:
        return f"must be in [{self.low:g}, {self.high:g}]"


# Wider than any object known, narrow enough that no intermediate result overflows. A perihelion distance
# of 1e-6 au is 150 km from the Sun's centre: what falls shorter has no orbit plane worth the name.
ORBIT_DOMAIN: Final[Mapping[str, Interval]] = {
    "perihelion_distance_au": Interval(1e-6, 1e5),
    "eccentricity": Interval(0.0, 1e6),
    "inclination_deg": Interval(0.0, 180.0),
    "longitude_of_ascending_node_deg": Interval(-360.0, 360.0),
    "argument_of_perihelion_deg": Interval(-360.0, 360.0),
    "perihelion_time_tdb_jd": Interval(-1e12, 1e12),
    "epoch_tdb_jd": Interval(-1e8, 1e8),
}


def violations(column: str, values: NDArray[np.float64], interval: Interval) -> tuple[Violation, ...]:
    """Every row of one column outside an interval."""
    inside = interval.holds(values)
    if inside.all():
        return ()
    return tuple(Violation(column, int(row), str(interval)) for row in np.flatnonzero(~inside))


def require(columns: Mapping[str, NDArray[np.float64]]) -> None:
    """Check columns against `ORBIT_DOMAIN`.

    Raises:
        InvalidOrbitError: naming every violated column and row.
    """
    found: tuple[Violation, ...] = ()
    for column, values in columns.items():
        found += violations(column, values, ORBIT_DOMAIN[column])
    if found:
        raise InvalidOrbitError(found)


def require_orbit_shape(
    perihelion_distance_au: ArrayLike, eccentricity: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two elements that give an orbit its shape, as float64 arrays.

    Raises:
        InvalidOrbitError: a value lies outside its domain.
    """
    q = np.asarray(perihelion_distance_au, dtype=np.float64)
    e = np.asarray(eccentricity, dtype=np.float64)
    require({"perihelion_distance_au": q, "eccentricity": e})
    return q, e
