# SPDX-License-Identifier: GPL-3.0-or-later
"""The way through Earth's atmosphere: where a body breaks, where it bursts, and how fast its remains are.

Collins, Melosh & Marcus 2005, Meteorit. Planet. Sci. 40, 817 ("Earth Impact Effects Program", EIEP): an exponential
atmosphere, a strength that grows with density, then a cloud that spreads like a pancake until it is seven times as
wide. Neither ablation nor gravity act.
"""

import math
from dataclasses import dataclass
from typing import Final

from gateway.neo.impact.domain import require

_SURFACE_AIR_KG_M3: Final = 1.0
_SCALE_HEIGHT_M: Final = 8_000.0
_DRAG: Final = 2.0
_PANCAKE: Final = 7.0
_GRAVITY_M_S2: Final = 9.81


@dataclass(frozen=True, slots=True)
class Entry:
    """How a body came through.

    Attributes:
        strength_pa: at which it breaks.
        breakup_altitude_m: None where it reaches the ground unbroken.
        burst_altitude_m: None where the ground comes first.
        final_speed_km_s: of the body at the ground, or of the cloud at the burst.
        spread_m: diameter of the cloud at the ground; the body's own where it is unbroken, None where it bursts.
    """

    strength_pa: float
    breakup_altitude_m: float | None
    burst_altitude_m: float | None
    final_speed_km_s: float
    spread_m: float | None


def strength_of_density_pa(density_kg_m3: float) -> float:
    """log10 Y = 2.107 + 0.0624 sqrt(density) (eq. 9); fitted from comets to irons, 1,000 to 8,000 kg/m3."""
    return float(10.0 ** (2.107 + 0.0624 * math.sqrt(density_kg_m3)))


def enter(diameter_m: float, density_kg_m3: float, speed_km_s: float, angle_deg: float) -> Entry:
    """Follow a sphere down.

    Args:
        diameter_m: of the sphere.
        density_kg_m3: of the sphere.
        speed_km_s: before the air slows it.
        angle_deg: of its path above the horizon, 90 straight down.

    Raises:
        InvalidImpactError: a number is out of its domain.
    """
    require(diameter_m=diameter_m, density_kg_m3=density_kg_m3, speed_km_s=speed_km_s, angle_deg=angle_deg)
    sine = math.sin(math.radians(angle_deg))
    speed = speed_km_s * 1e3
    strength = strength_of_density_pa(density_kg_m3)
    # Eq. 8: the speed falls by this many e-folds down to the ground.
    slowing = 3.0 * _SURFACE_AIR_KG_M3 * _DRAG * _SCALE_HEIGHT_M / (4.0 * density_kg_m3 * diameter_m * sine)
    # Eq. 10: at 1 or above the air never presses hard enough.
    hardness = 4.07 * _DRAG * _SCALE_HEIGHT_M * strength / (density_kg_m3 * diameter_m * speed**2 * sine)
    if hardness >= 1.0:
        return _unbroken(strength, diameter_m, density_kg_m3, speed, slowing)
    omega = 1.308 - 0.314 * hardness - 1.303 * math.sqrt(1.0 - hardness)
    breakup_m = -_SCALE_HEIGHT_M * (math.log(strength / (_SURFACE_AIR_KG_M3 * speed**2)) + omega)  # eq. 11
    if breakup_m <= 0.0:
        # The ground comes first.
        return _unbroken(strength, diameter_m, density_kg_m3, speed, slowing)
    air = _SURFACE_AIR_KG_M3 * math.exp(-breakup_m / _SCALE_HEIGHT_M)
    speed_there = speed * math.exp(-slowing * air / _SURFACE_AIR_KG_M3)
    dispersion_m = diameter_m * sine * math.sqrt(density_kg_m3 / (_DRAG * air))  # eq. 16
    width = math.sqrt(_PANCAKE**2 - 1.0)
    burst_m = breakup_m - 2.0 * _SCALE_HEIGHT_M * math.log1p(dispersion_m * width / (2.0 * _SCALE_HEIGHT_M))  # eq. 18
    # Eq. 17; both integrals are over the square of the width in diameters.
    rate = 0.75 * _DRAG * air / (density_kg_m3 * diameter_m * sine)
    if burst_m > 0.0:
        final = speed_there * math.exp(-rate * _burst_integral_m(dispersion_m, width))
        return Entry(strength, breakup_m, burst_m, final / 1e3, None)
    final = speed_there * math.exp(-rate * _ground_integral_m(dispersion_m, breakup_m))
    stretch = 2.0 * _SCALE_HEIGHT_M / dispersion_m * math.expm1(breakup_m / (2.0 * _SCALE_HEIGHT_M))
    spread_m = diameter_m * math.sqrt(1.0 + stretch**2)  # eq. 15 at the ground
    return Entry(strength, breakup_m, None, final / 1e3, spread_m)


def _unbroken(strength_pa: float, diameter_m: float, density_kg_m3: float, speed_m_s: float, slowing: float) -> Entry:
    """At the ground as fast as eq. 8 has it, but no slower than it falls: where drag is its weight (EIEP)."""
    terminal = math.sqrt(4.0 * density_kg_m3 * diameter_m * _GRAVITY_M_S2 / (3.0 * _SURFACE_AIR_KG_M3 * _DRAG))
    final_m_s = max(speed_m_s * math.exp(-slowing), min(terminal, speed_m_s))
    return Entry(strength_pa, None, None, final_m_s / 1e3, diameter_m)


def _burst_integral_m(dispersion_m: float, width: float) -> float:
    """Eq. 19, over the diameter squared."""
    reach = dispersion_m / _SCALE_HEIGHT_M
    return dispersion_m / 24.0 * width * (8.0 * (3.0 + width**2) + 3.0 * width * reach * (2.0 + width**2))


def _ground_integral_m(dispersion_m: float, breakup_m: float) -> float:
    """Eq. 20, over the diameter squared; with 16 exp(3 z / 2 H), where print has another power."""
    reach = dispersion_m / _SCALE_HEIGHT_M
    fall = breakup_m / _SCALE_HEIGHT_M
    inner = 3.0 * (4.0 + reach**2) * math.exp(fall) + 6.0 * math.exp(2.0 * fall) - 16.0 * math.exp(1.5 * fall)
    return _SCALE_HEIGHT_M / (3.0 * reach**2) * (inner - 3.0 * reach**2 - 2.0)
