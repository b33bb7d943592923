# SPDX-License-Identifier: GPL-3.0-or-later
"""The blast wave: overpressure at a distance, and how far a given overpressure reaches.

As the Earth Impact Effects Program has it: an explosion on the ground after Collins, Melosh & Marcus 2005, Meteorit.
Planet. Sci. 40, 817, eq. 54; one in the air after Collins, Lynch, McAdam & Davison 2017, Meteorit. Planet. Sci. 52,
1542: static, at the burst altitude, fitted to nuclear tests (Glasstone & Dolan 1977). The 2017 paper found simulated
airbursts up to twice as strong within about three burst altitudes, which EIEP prints as a range.
"""

import math
from collections.abc import Callable
from typing import Final

from gateway.neo.impact.domain import HALF_AROUND_EARTH_KM, require

PSI_PA: Final = 6_894.757
AIRBURST_UNCERTAINTY: Final = 2.0
"""Times as much overpressure may be felt near an airburst (Collins et al. 2017)."""

# Logarithms of distances scaled to a kiloton, m, between which any overpressure asked for lies.
_LOG_LOW, _LOG_HIGH = -5.0, 20.0
_HALVINGS: Final = 60
# Eq. 54: where the laws of near and far meet, for a kiloton.
_CROSSOVER_M: Final = 290.0
_CROSSOVER_PA: Final = 75e3


def overpressure_pa(distance_km: float, burst_altitude_m: float, energy_mt: float) -> float:
    """Peak overpressure above ambient, on the ground.

    Args:
        distance_km: along the ground from below the burst.
        burst_altitude_m: 0 for an explosion on the ground.
        energy_mt: released there.

    Raises:
        InvalidImpactError: a number is out of its domain.
    """
    require(distance_km=distance_km, energy_mt=energy_mt)
    slant_m = math.hypot(distance_km * 1e3, burst_altitude_m)
    return _law(burst_altitude_m)(slant_m / math.cbrt(energy_mt * 1e3))


def reach_km(threshold_pa: float, burst_altitude_m: float, energy_mt: float) -> float:
    """The distance along the ground up to which the overpressure is at least so much; 0 where it is so nowhere.

    Raises:
        InvalidImpactError: the energy is out of its domain.
    """
    require(energy_mt=energy_mt)
    law = _law(burst_altitude_m)
    low, high = _LOG_LOW, _LOG_HIGH
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if law(math.exp(middle)) >= threshold_pa:
            low = middle
        else:
            high = middle
    slant_m = math.exp(low) * math.cbrt(energy_mt * 1e3)
    return min(math.sqrt(max(0.0, slant_m**2 - burst_altitude_m**2)) / 1e3, HALF_AROUND_EARTH_KM)


def _law(burst_altitude_m: float) -> Callable[[float], float]:
    return _in_the_air_pa if burst_altitude_m > 0.0 else _on_the_ground_pa


def _in_the_air_pa(scaled_m: float) -> float:
    square = scaled_m**2
    return float(3.14e11 * square**-1.3 + 1.8e7 * square**-0.565)


def _on_the_ground_pa(scaled_m: float) -> float:
    ratio = _CROSSOVER_M / scaled_m
    return float(_CROSSOVER_PA * ratio / 4.0 * (1.0 + 3.0 * ratio**1.3))
