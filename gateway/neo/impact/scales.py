# SPDX-License-Identifier: GPL-3.0-or-later
"""How much attention a possible impact deserves: the Palermo scale for experts, the Torino scale for everyone."""

import math
from collections.abc import Iterable
from typing import Final

from gateway.neo.impact.domain import require

# Chesley et al. 2002, Icarus 159, 423, eq. 3: impacts of at least this energy, a year.
_BACKGROUND_PER_YEAR: Final = 0.03
_BACKGROUND_POWER: Final = -0.8

TORINO_REACH_YEARS: Final = 100.0
"""The Torino scale is defined for the next century only (Binzel 2000, Planet. Space Sci. 48, 297)."""

_CERTAIN: Final = 0.99


def background_frequency_per_year(energy_mt: float) -> float:
    """How often Earth is hit with at least this energy: 0.03 E^-0.8 (Chesley et al. 2002, eq. 3).

    Raises:
        InvalidImpactError: the energy is out of its domain.
    """
    require(energy_mt=energy_mt)
    return _BACKGROUND_PER_YEAR * float(energy_mt**_BACKGROUND_POWER)


def palermo_scale(probability: float, energy_mt: float, years: float) -> float:
    """The Palermo technical scale: log10 of the risk over that of the background until then.

    PS = log10(P / (f_B dT)) (Chesley et al. 2002, eqs. 2 and 4).

    Args:
        probability: of this impact.
        energy_mt: megatons of TNT.
        years: from now to the impact.

    Returns:
        Minus infinity where the probability is 0.

    Raises:
        InvalidImpactError: a number is out of its domain.
    """
    require(probability=probability, years=years)
    background = background_frequency_per_year(energy_mt) * years
    return math.log10(probability / background) if probability > 0.0 else -math.inf


def cumulative_palermo_scale(values: Iterable[float]) -> float:
    """Of several possible impacts of one object: log10 of the sum of 10^PS (Chesley et al. 2002, section 5).

    Returns:
        Minus infinity where there are none.
    """
    risk = math.fsum(10.0**value for value in values)
    return math.log10(risk) if risk > 0.0 else -math.inf


def torino_scale(probability: float, energy_mt: float, years: float = 0.0) -> int | None:
    """The Torino scale, 0 to 10, of one possible impact.

    The regions are those of Binzel 2000, figure 2: below 1 Mt nothing reaches the ground; at 100 Mt local destruction
    becomes regional, at 1e5 Mt global; above 99 % a collision is certain, from 1 % a close encounter merits concern;
    below 1 % the borders are straight lines of (log E, log P) with slope -2/3 that meet P = 1 % at 0.1, 100 and 1e5 Mt.
    What lies on a border belongs to the higher region, but for P = 99 %, which is not yet "greater than 99 %".

    Args:
        probability: of the impact.
        energy_mt: megatons of TNT.
        years: from now to the impact.

    Returns:
        None beyond a century, where the scale is not defined.

    Raises:
        InvalidImpactError: a number is out of its domain.
    """
    require(probability=probability, energy_mt=energy_mt)
    if not 0.0 <= years <= TORINO_REACH_YEARS:
        return None
    if energy_mt < 1.0 or probability == 0.0:
        return 0
    if probability > _CERTAIN:
        return 8 + _bands(energy_mt)
    return _uncertain(math.log10(probability), math.log10(energy_mt))


def _uncertain(log_probability: float, log_energy_mt: float) -> int:
    """Of a collision that is not certain, above 1 Mt."""
    # How many decades of energy the event lies above the line through (0.1 Mt, 1 %).
    above = round(1.5 * (log_probability + 2.0) + log_energy_mt + 1.0, 12)
    if log_probability < -2.0:
        below_concern = int(above >= 0.0) + int(above >= 3.0)
        return below_concern if above < 6.0 else 6
    if log_energy_mt >= 5.0:
        return 7
    if above >= 6.0:
        return 5
    return 3 if log_energy_mt < 2.0 else 4


def _bands(energy_mt: float) -> int:
    """0 for local, 1 for regional, 2 for global devastation."""
    return int(energy_mt >= 1e2) + int(energy_mt >= 1e5)
