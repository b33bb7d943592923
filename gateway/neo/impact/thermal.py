# SPDX-License-Identifier: GPL-3.0-or-later
"""The heat of a fireball that an impact on the ground makes; those of airbursts are in `airburst`.

Collins, Melosh & Marcus 2005, Meteorit. Planet. Sci. 40, 817 (EIEP), eqs. 32 to 39 and table 1.
"""

import enum
import math
from typing import Final

from gateway.neo.impact.domain import EARTH_RADIUS_KM, MEGATON_J

LEAST_SPEED_KM_S: Final = 15.0
"""Slower impacts vaporise too little to make a fireball."""

LUMINOUS: Final = 3e-3
"""The share of the energy that is radiated, best guess; 1e-4 to 1e-2 are possible."""

_HALVINGS: Final = 60


class Burn(enum.Enum):
    """What a one-megaton explosion does at an exposure, J/m2 (table 1)."""

    CLOTHING_IGNITES = 1.0e6
    THIRD_DEGREE = 4.2e5
    SECOND_DEGREE = 2.5e5
    FIRST_DEGREE = 1.3e5

    def exposure_j_m2(self, energy_mt: float) -> float:
        """The same for another energy: larger fireballs radiate for longer, and need E^(1/6) times as much (eq. 39)."""
        return float(self.value * energy_mt ** (1.0 / 6.0))


def fireball_radius_km(energy_j: float) -> float:
    """At its brightest: 0.002 m E^(1/3) (eq. 32)."""
    return 2e-6 * math.cbrt(energy_j)


def exposure_j_m2(distance_km: float, energy_j: float) -> float:
    """Heat on a surface that faces the fireball, less what lies below the horizon (eqs. 34 to 37)."""
    unattenuated = LUMINOUS * energy_j / (2.0 * math.pi * (distance_km * 1e3) ** 2)
    return unattenuated * _share_above_horizon(distance_km, fireball_radius_km(energy_j))


def reach_km(burn: Burn, energy_j: float) -> float:
    """The distance up to which the exposure is enough for a burn."""
    needed = burn.exposure_j_m2(energy_j / MEGATON_J)
    low, high = 1e-6, math.pi * EARTH_RADIUS_KM
    if exposure_j_m2(high, energy_j) >= needed:
        return high
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        if exposure_j_m2(middle, energy_j) >= needed:
            low = middle
        else:
            high = middle
    return low


def _share_above_horizon(distance_km: float, radius_km: float) -> float:
    hidden_km = (1.0 - math.cos(distance_km / EARTH_RADIUS_KM)) * EARTH_RADIUS_KM
    if hidden_km >= radius_km:
        return 0.0
    cosine = hidden_km / radius_km
    angle = math.acos(cosine)
    return 2.0 / math.pi * (angle - cosine * math.sin(angle))
