# SPDX-License-Identifier: GPL-3.0-or-later
"""What reaches the ground does: crater and shaking.

Collins, Melosh & Marcus 2005, Meteorit. Planet. Sci. 40, 817 (EIEP).
"""

import enum
import math
from dataclasses import dataclass
from typing import Final

from gateway.neo.impact.domain import require

_GRAVITY_M_S2: Final = 9.81
# Where simple craters become complex ones, on Earth.
_COMPLEX_M: Final = 3_200.0


class Rock(enum.IntEnum):
    """What is hit; the numbers are those of the public contract."""

    SEDIMENTARY = 1
    CRYSTALLINE = 2

    @property
    def density_kg_m3(self) -> float:
        """As EIEP takes it."""
        return {Rock.SEDIMENTARY: 2_500.0, Rock.CRYSTALLINE: 2_750.0}[self]


@dataclass(frozen=True, slots=True)
class Crater:
    """A hole in rock.

    Attributes:
        transient_diameter_m: as first opened.
        final_diameter_m: after its walls have slid, rim to rim.
        final_depth_m: rim to floor.
        is_complex: whether the floor has risen too.
        is_field: the pieces lie wider apart than a crater is wide: a field of them, of which this is the largest.
    """

    transient_diameter_m: float
    final_diameter_m: float
    final_depth_m: float
    is_complex: bool
    is_field: bool


def crater(
    diameter_m: float, density_kg_m3: float, speed_km_s: float, angle_deg: float, *, rock: Rock, spread_m: float
) -> Crater:
    """The crater of a body that reaches the ground.

    Args:
        diameter_m: of the body.
        density_kg_m3: of the body.
        speed_km_s: at the ground.
        angle_deg: above the horizon.
        rock: what it hits.
        spread_m: diameter of the cloud that it has become.
    """
    require(diameter_m=diameter_m, density_kg_m3=density_kg_m3, angle_deg=angle_deg)
    transient = (
        1.161
        * (density_kg_m3 / rock.density_kg_m3) ** (1.0 / 3.0)
        * diameter_m**0.78
        * (speed_km_s * 1e3) ** 0.44
        * _GRAVITY_M_S2**-0.22
        * math.sin(math.radians(angle_deg)) ** (1.0 / 3.0)
    )  # eq. 21
    is_field = spread_m >= transient
    if is_field:
        # The largest piece has half the diameter (EIEP).
        transient /= 2.0
    is_complex = 1.25 * transient >= _COMPLEX_M
    if is_complex:
        final = 1.17 * transient**1.13 / _COMPLEX_M**0.13  # eq. 27
        depth = 37.0 * final**0.301  # EIEP as it is now, where print has eq. 28
    else:
        final = 1.25 * transient  # eq. 22
        depth = _simple_depth_m(transient, final)
    return Crater(transient, final, depth, is_complex, is_field)


def _simple_depth_m(transient_m: float, final_m: float) -> float:
    """Eqs. 23 to 26: the transient depth and the rim, less the lens of broken rock on the floor."""
    transient_depth = transient_m / (2.0 * math.sqrt(2.0))
    rim = 0.07 * transient_m**4 / final_m**3
    breccia_m3 = 0.032 * final_m**3
    lens = 2.8 * breccia_m3 * (transient_depth + rim) / (transient_depth * final_m**2)
    return transient_depth + rim - lens


def seismic_magnitude(energy_j: float) -> float:
    """Gutenberg-Richter magnitude of an impact's energy at the ground: 0.67 log10 E - 5.87 (eq. 31)."""
    return 0.67 * math.log10(energy_j) - 5.87
