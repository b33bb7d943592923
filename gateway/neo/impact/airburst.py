# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a body that bursts in the air does damage, as the PAIR model scales it from its energy and altitude.

Mathias, Wheeler & Dotson 2017, Icarus 289, 106: the blast, eq. 5, after Hills & Goda 1993 (AJ 105, 1114), fitted to
nuclear tests at 4 psi (27.6 kPa), which takes roofs off and trees down; the heat, eq. 6, after Collins, Melosh & Marcus
2005, eq. 36, from the burst altitude. Both take all of the energy for that of the burst.
"""

import math

from gateway.neo.impact import thermal
from gateway.neo.impact.domain import HALF_AROUND_EARTH_KM, MEGATON_J, require


def damage_radius_km(burst_altitude_m: float, energy_mt: float) -> float:
    """Along the ground, up to where the overpressure is at least 4 psi; 0 where it is so nowhere.

    Args:
        burst_altitude_m: above the ground.
        energy_mt: of the body before the air takes any.

    Raises:
        InvalidImpactError: the energy is out of its domain.
    """
    require(energy_mt=energy_mt)
    height_km, scale = burst_altitude_m / 1e3, math.cbrt(energy_mt)
    radius_km = 2.09 * height_km - 0.449 * height_km**2 / scale + 5.08 * scale
    return min(max(0.0, radius_km), HALF_AROUND_EARTH_KM)


def burns_radius_km(burst_altitude_m: float, energy_mt: float) -> float:
    """Along the ground, up to where skin in the open gets third-degree burns; 0 where none does.

    Args:
        burst_altitude_m: above the ground.
        energy_mt: of the body before the air takes any.

    Raises:
        InvalidImpactError: the energy is out of its domain.
    """
    require(energy_mt=energy_mt)
    needed_j_m2 = thermal.Burn.THIRD_DEGREE.exposure_j_m2(energy_mt)
    square_m2 = thermal.LUMINOUS * energy_mt * MEGATON_J / (2.0 * math.pi * needed_j_m2) - burst_altitude_m**2
    return min(math.sqrt(max(0.0, square_m2)) / 1e3, HALF_AROUND_EARTH_KM)
