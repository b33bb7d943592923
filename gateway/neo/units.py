# SPDX-License-Identifier: GPL-3.0-or-later
"""Constants of nature and of convention, each with its source."""

from typing import Final

AU_KM: Final = 149_597_870.700
"""One astronomical unit, exact (IAU 2012 Resolution B2)."""

DAY_S: Final = 86_400.0
"""One Julian day, exact."""

JULIAN_YEAR_D: Final = 365.25
"""One Julian year, exact (IAU style manual 1989)."""

J2000_TDB_JD: Final = 2_451_545.0
"""The epoch J2000.0 (IAU 1976 System of Astronomical Constants)."""

MJD_ORIGIN_JD: Final = 2_400_000.5
"""Julian date = modified Julian date + this."""

GM_SUN_AU3_D2: Final = 0.00029591220828411956
"""The Sun's gravitational parameter, TDB-compatible (JPL DE440: Park et al. 2021, AJ 161:105, table 2)."""

OBLIQUITY_J2000_ARCSEC: Final = 84_381.448
"""Obliquity of the ecliptic of J2000 in JPL's and the MPC's elements (Lieske et al. 1977; IAU 1976)."""

LIGHT_SPEED_KM_S: Final = 299_792.458
"""Speed of light in vacuum, exact (SI)."""
