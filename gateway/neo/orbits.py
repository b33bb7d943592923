# SPDX-License-Identifier: GPL-3.0-or-later
"""Heliocentric orbits as columns.

Orbits are held by perihelion distance and time of perihelion, which stay finite and smooth through e = 1:
ellipses, parabolas and hyperbolas are treated alike.
Frame: heliocentric, ecliptic of J2000; time scale TDB; every orbit's GM is the Sun's alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gateway.neo import domain
from gateway.neo.errors import ColumnShapeError, InvalidOrbitError, Violation
from gateway.neo.units import GM_SUN_AU3_D2

Floats = NDArray[np.float64]

_SQRT_GM: Final = float(np.sqrt(GM_SUN_AU3_D2))


@dataclass(frozen=True, slots=True, eq=False)
class Orbits:
    """N heliocentric osculating orbits as float64 columns of shape (N,).

    Lists and scalars are accepted and turned into columns. Values are checked against `domain.ORBIT_DOMAIN`:
    everything finite, q > 0, e >= 0, 0 <= i <= 180, the other angles within one turn of zero.

    Attributes:
        perihelion_distance_au: q.
        eccentricity: e; 1 is a parabola, more a hyperbola.
        inclination_deg: to the ecliptic of J2000.
        longitude_of_ascending_node_deg: from the equinox of J2000.
        argument_of_perihelion_deg: from the ascending node.
        perihelion_time_tdb_jd: time of a perihelion passage; any one of an ellipse's.
        epoch_tdb_jd: time at which the orbit osculates.

    Raises:
        ColumnShapeError: columns are not one-dimensional or differ in length.
        InvalidOrbitError: values outside the domain, all of them named.
    """

    perihelion_distance_au: Floats
    eccentricity: Floats
    inclination_deg: Floats
    longitude_of_ascending_node_deg: Floats
    argument_of_perihelion_deg: Floats
    perihelion_time_tdb_jd: Floats
    epoch_tdb_jd: Floats

    def __post_init__(self) -> None:
        columns = {f.name: np.atleast_1d(np.asarray(getattr(self, f.name), np.float64)) for f in fields(self)}
        shapes = {column.shape for column in columns.values()}
        if len(shapes) > 1 or len(columns["epoch_tdb_jd"].shape) > 1:
            raise ColumnShapeError(f"orbit columns must be one-dimensional and of one length, not {shapes}")
        domain.require(columns)
        for name, column in columns.items():
            object.__setattr__(self, name, column)

    @classmethod
    def from_mean_anomaly(
        cls,
        *,
        semi_major_axis_au: ArrayLike,
        eccentricity: ArrayLike,
        inclination_deg: ArrayLike,
        longitude_of_ascending_node_deg: ArrayLike,
        argument_of_perihelion_deg: ArrayLike,
        mean_anomaly_deg: ArrayLike,
        epoch_tdb_jd: ArrayLike,
    ) -> Self:
        """Orbits from the classical elements; scalars are repeated to the length of the columns.

        Args:
            semi_major_axis_au: a; negative for a hyperbola (e > 1).
            eccentricity: e; not 1, a parabola has no semi-major axis.
            inclination_deg: as in the class.
            longitude_of_ascending_node_deg: as in the class.
            argument_of_perihelion_deg: as in the class.
            mean_anomaly_deg: M at the epoch; an ellipse's is reduced, to take the nearest perihelion.
            epoch_tdb_jd: as in the class.

        Raises:
            ColumnShapeError: the columns do not broadcast to one length.
            InvalidOrbitError: a and e contradict each other, or a value is outside the domain.
        """
        names = (semi_major_axis_au, eccentricity, mean_anomaly_deg, epoch_tdb_jd)
        angles = (inclination_deg, longitude_of_ascending_node_deg, argument_of_perihelion_deg)
        a, e, mean_deg, epoch, inclination, node, argument = broadcast(*names, *angles)
        _require_semi_major_axis(a, e, mean_deg)
        reduced_deg = np.where(a > 0.0, np.remainder(mean_deg + 180.0, 360.0) - 180.0, mean_deg)
        mean_motion_rad_d = _SQRT_GM / np.abs(a) ** 1.5
        return cls(
            perihelion_distance_au=a * (1.0 - e),
            eccentricity=e,
            inclination_deg=inclination,
            longitude_of_ascending_node_deg=node,
            argument_of_perihelion_deg=argument,
            perihelion_time_tdb_jd=epoch - np.radians(reduced_deg) / mean_motion_rad_d,
            epoch_tdb_jd=epoch,
        )

    @classmethod
    def concatenate(cls, parts: Iterable["Orbits"]) -> Self:
        """Several tables of orbits as one, in order; at least one part."""
        tables = list(parts)
        return cls(*(np.concatenate([getattr(table, f.name) for table in tables]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.eccentricity)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.intp]) -> "Orbits":
        """The orbits of a slice, a mask or an array of row numbers."""
        return Orbits(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def semi_major_axis_au(self) -> Floats:
        """Semi-major axis in au: infinite for a parabola, negative for a hyperbola."""
        with np.errstate(divide="ignore"):
            return self.perihelion_distance_au / (1.0 - self.eccentricity)

    @property
    def aphelion_distance_au(self) -> Floats:
        """Aphelion distance in au; infinite where e >= 1."""
        a = self.semi_major_axis_au
        return np.where(self.eccentricity < 1.0, a * (1.0 + self.eccentricity), np.inf)

    @property
    def mean_anomaly_deg(self) -> Floats:
        """M at the epoch: in [-180, 180) on an ellipse, unbounded on a hyperbola, NaN on a parabola."""
        a = self.semi_major_axis_au
        since_d = self.epoch_tdb_jd - self.perihelion_time_tdb_jd
        mean_deg = np.degrees(_SQRT_GM / np.abs(a) ** 1.5 * since_d)
        mean_deg = np.where(a > 0.0, np.remainder(mean_deg + 180.0, 360.0) - 180.0, mean_deg)
        return np.where(np.isinf(a), np.nan, mean_deg)


def broadcast(*columns: ArrayLike) -> list[Floats]:
    """Scalars and columns as columns of one length.

    Raises:
        ColumnShapeError: they do not broadcast to one length.
    """
    try:
        return list(np.broadcast_arrays(*(np.atleast_1d(np.asarray(c, np.float64)) for c in columns)))
    except ValueError as error:
        raise ColumnShapeError("orbit columns differ in length") from error


def _require_semi_major_axis(a: Floats, e: Floats, mean_anomaly_deg: Floats) -> None:
    """Refuse what has no perihelion: a sign that contradicts e, e = 1, or numbers that are not finite."""
    domain.require({"eccentricity": e})
    agrees = np.isfinite(a) & (a != 0.0) & ((a > 0.0) == (e < 1.0)) & (e != 1.0)
    found = [
        Violation("semi_major_axis_au", int(row), "must be finite, positive for e < 1, negative for e > 1; e not 1")
        for row in np.flatnonzero(~agrees)
    ]
    found += [
        Violation("mean_anomaly_deg", int(row), "must be finite")
        for row in np.flatnonzero(~np.isfinite(mean_anomaly_deg))
    ]
    if found:
        raise InvalidOrbitError(tuple(found))
