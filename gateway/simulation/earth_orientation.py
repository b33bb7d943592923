# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to ERFA: how Earth is turned, and where on it something is.

Precession, nutation and rotation: IAU 2006/2000A (IERS Conventions 2010, chapter 5) as ERFA computes them from the
celestial axes straight to the terrestrial ones. Left out: polar motion (0.3", 9 m on the ground) and UT1 - UTC (less
than 0.9 s since 1972, 0.004 deg of longitude), which are measured from day to day.
"""

import warnings
from dataclasses import dataclass
from typing import Final

import erfa
import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import J2000_TDB_JD

Floats = NDArray[np.float64]

ROTATION_RAD_S: Final = 7.292115e-5
"""Earth's mean angular velocity (WGS84: NGA.STND.0036, table 3.1)."""

_WGS84: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Orientation:
    """How Earth is turned at an instant.

    Attributes:
        to_terrestrial: (3, 3) from ICRF axes to those of the turning Earth (ITRS).
        utc_known: false before 1960 and some years after the last leap second that ERFA knows; longitudes are then
            off by 0.0042 deg for each second that Earth's rotation is off.
    """

    to_terrestrial: Floats
    utc_known: bool


def orientation(time_d: float) -> Orientation:
    """Earth's orientation at a time.

    Args:
        time_d: days of TDB since J2000.0.
    """
    with warnings.catch_warnings(record=True) as caught:
        # ERFA says "dubious year" where it has no leap seconds; that goes into the answer.
        warnings.simplefilter("always", erfa.ErfaWarning)
        # The argument may be TT: the two differ by less than 2 ms. No place on Earth is meant: 0 h, 0 km.
        tdb_minus_tt_s = erfa.dtdb(J2000_TDB_JD, time_d, 0.0, 0.0, 0.0, 0.0)
        tt = erfa.tdbtt(J2000_TDB_JD, time_d, tdb_minus_tt_s)
        utc = erfa.taiutc(*erfa.tttai(*tt))
        to_terrestrial = erfa.c2t06a(*tt, *utc, 0.0, 0.0)
    return Orientation(np.asarray(to_terrestrial, np.float64), utc_known=not caught)


def geodetic(terrestrial_km: Floats) -> tuple[Floats, Floats, Floats]:
    """Where points are on and above the WGS84 ellipsoid.

    Args:
        terrestrial_km: (N, 3) in the axes of the turning Earth.

    Returns:
        Latitudes and longitudes east (-180 to 180) in degrees, and altitudes in km, each (N,).
    """
    longitude, latitude, altitude_m = erfa.gc2gd(_WGS84, terrestrial_km * 1e3)
    return np.degrees(latitude), np.degrees(longitude), altitude_m / 1e3


def air_velocity_km_s(terrestrial_km: Floats) -> Floats:
    """(3,) velocity of air that turns with Earth at a point (3,), in the terrestrial axes of that instant."""
    return np.cross((0.0, 0.0, ROTATION_RAD_S), terrestrial_km)


def east_north_up(latitude_deg: float, longitude_deg: float) -> Floats:
    """Rows: the unit vectors to the east, to the north and up at a place, in the terrestrial axes."""
    latitude, longitude = np.radians(latitude_deg), np.radians(longitude_deg)
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    up = np.array([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
    return np.stack((east, np.cross(up, east), up))
