# SPDX-License-Identifier: GPL-3.0-or-later
"""What hits: its size, mass and energy, with what is not known of them.

Where an albedo or a density is not known, it is taken from what near-Earth objects have; what follows is then a range.
The range is a quadrature over equally probable values, not a random sample: the same question has the same answer.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.errors import InvalidImpactError, Violation
from gateway.neo.impact.domain import MEGATON_J, require

Floats = NDArray[np.float64]

DEFAULT_ALBEDO: Final = 0.14
"""Mean of near-Earth objects, as CNEOS takes it."""

DEFAULT_DENSITY_KG_M3: Final = 2_000.0
"""Typical of stony near-Earth objects (Carry 2012, Planet. Space Sci. 73, 98)."""

_KM_OF_H_0_AND_ALBEDO_1: Final = 1329.0
# Wright et al. 2016, AJ 152, 79: two Rayleigh distributions, of dark and of bright objects, and the share of the dark.
_DARK_SHARE: Final = 0.253
_DARK_MODE, _BRIGHT_MODE = 0.030, 0.168
# Carry 2012, table 3: about the mean densities of C- and S-type asteroids, within which most others lie.
_DENSITY_RANGE_KG_M3: Final = (1_300.0, 2_700.0)
# Equally probable values of each unknown.
_NODES: Final = 101
_PROBABILITIES: Final = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A number that is not known exactly: 5 %, 50 % and 95 % of the probability lie below these."""

    p05: float
    p50: float
    p95: float

    def scaled(self, factor: float) -> "Quantiles":
        """Each times a positive factor."""
        return Quantiles(self.p05 * factor, self.p50 * factor, self.p95 * factor)


@dataclass(frozen=True, slots=True)
class Impactor:
    """What is known of an object's body.

    Attributes:
        diameter_m: of the sphere that the numbers below mean, best value.
        density_kg_m3: best value.
        mass_kg: best value.
        diameter_range_m: with what is not known.
        mass_range_kg: ditto.
        source: where size and mass come from, in words.
    """

    diameter_m: float
    density_kg_m3: float
    mass_kg: float
    diameter_range_m: Quantiles
    mass_range_kg: Quantiles
    source: str

    def energy_mt(self, speed_km_s: float) -> float:
        """Kinetic energy of the best mass, megatons of TNT.

        Raises:
            InvalidImpactError: the speed is out of its domain.
        """
        require(speed_km_s=speed_km_s)
        return kinetic_energy_mt(self.mass_kg, speed_km_s)

    def energy_range_mt(self, speed_km_s: float) -> Quantiles:
        """Kinetic energy with what is not known of the mass."""
        return self.mass_range_kg.scaled(self.energy_mt(speed_km_s) / self.mass_kg)


def kinetic_energy_mt(mass_kg: float, speed_km_s: float) -> float:
    """Half m v^2, megatons of TNT."""
    return 0.5 * mass_kg * (speed_km_s * 1e3) ** 2 / MEGATON_J


def diameter_of_h_m(absolute_magnitude_h: float, albedo: float) -> float:
    """D = 1329 km / sqrt(p) 10^(-H/5) (Pravec & Harris 2007, Icarus 190, 250, eq. 1), in metres; unchecked."""
    return float(_KM_OF_H_0_AND_ALBEDO_1 * 1e3 / np.sqrt(albedo) * 10.0 ** (-absolute_magnitude_h / 5.0))


def impactor_of(
    *,
    mass_kg: float | None = None,
    diameter_m: float | None = None,
    density_kg_m3: float | None = None,
    absolute_magnitude_h: float | None = None,
    absolute_magnitude_sigma: float = 0.0,
    albedo: float | None = None,
) -> Impactor:
    """The best that can be said of an object's body from what is given.

    A given mass counts most, then a given diameter, then H; what is given is taken as exact, but for the sigma of H.

    Raises:
        InvalidImpactError: a number is out of its domain, or neither mass nor diameter nor H is given.
    """
    given = {
        "mass_kg": mass_kg,
        "diameter_m": diameter_m,
        "density_kg_m3": density_kg_m3,
        "absolute_magnitude_h": absolute_magnitude_h,
        "absolute_magnitude_sigma": absolute_magnitude_sigma,
        "albedo": albedo,
    }
    require(**{name: value for name, value in given.items() if value is not None})
    densities = np.array([density_kg_m3]) if density_kg_m3 else np.linspace(*_DENSITY_RANGE_KG_M3, _NODES)
    density = density_kg_m3 or DEFAULT_DENSITY_KG_M3
    assumed = "" if density_kg_m3 else " (assumed)"
    if mass_kg is not None:
        best_m = diameter_m or _sphere_diameter_m(mass_kg, density)
        diameters = best_m * (np.array([1.0]) if diameter_m else (density / densities) ** (1.0 / 3.0))
        # A mass and a diameter together are a density, whatever else was said of it.
        density = mass_kg / sphere_volume_m3(best_m)
        require(diameter_m=best_m, density_kg_m3=density)
        size = "the given diameter" if diameter_m else f"density {density:g} kg/m3{assumed}"
        exact = Quantiles(mass_kg, mass_kg, mass_kg)
        return Impactor(best_m, density, mass_kg, _quantiles(diameters), exact, f"given mass; {size}")
    if diameter_m is not None:
        best_m, diameters, source = diameter_m, np.array([diameter_m]), f"diameter {diameter_m:g} m"
    elif absolute_magnitude_h is not None:
        best_m = diameter_of_h_m(absolute_magnitude_h, DEFAULT_ALBEDO if albedo is None else albedo)
        diameters = _diameters_m(absolute_magnitude_h, absolute_magnitude_sigma, albedo)
        known = f"albedo {albedo:g}" if albedo else f"albedo {DEFAULT_ALBEDO:g} (assumed)"
        source = f"H {absolute_magnitude_h:g}, {known}"
    else:
        raise InvalidImpactError((Violation("mass_kg", 0, "needs a mass, a diameter or an absolute magnitude"),))
    mass = density * sphere_volume_m3(best_m)
    require(diameter_m=best_m, mass_kg=mass)
    masses = np.multiply.outer(densities, np.pi / 6.0 * diameters**3).ravel()
    source = f"{source}, density {density:g} kg/m3{assumed}"
    return Impactor(best_m, density, mass, _quantiles(diameters), _quantiles(masses), source)


def sphere_volume_m3(diameter_m: float) -> float:
    """Volume of a sphere."""
    return math.pi / 6.0 * diameter_m**3


def _sphere_diameter_m(mass_kg: float, density_kg_m3: float) -> float:
    return math.cbrt(6.0 * mass_kg / (math.pi * density_kg_m3))


def _diameters_m(magnitude_h: float, sigma: float, albedo: float | None) -> Floats:
    """Equally probable diameters."""
    albedos = np.array([albedo]) if albedo is not None else _albedos()
    magnitudes = magnitude_h + sigma * _normal_nodes() if sigma else np.array([magnitude_h])
    kilometres: Floats = _KM_OF_H_0_AND_ALBEDO_1 * 10.0 ** (-magnitudes[:, None] / 5.0) / np.sqrt(albedos)
    return 1e3 * kilometres.ravel()


def _middles() -> Floats:
    """(_NODES,) the middles of equally probable parts."""
    middles: Floats = (np.arange(_NODES) + 0.5) / _NODES
    return middles


def _albedos() -> Floats:
    """(_NODES,) equally probable albedos of near-Earth objects (Wright et al. 2016, eq. 2)."""
    fine = np.linspace(1e-3, 1.0, 4_000)
    dark, bright = (1.0 - np.exp(-(fine**2) / (2.0 * mode**2)) for mode in (_DARK_MODE, _BRIGHT_MODE))
    return np.interp(_middles(), _DARK_SHARE * dark + (1.0 - _DARK_SHARE) * bright, fine)


def _normal_nodes() -> Floats:
    """(_NODES,) equally probable values of a standard normal variable."""
    fine = np.linspace(-6.0, 6.0, 4_000)
    return np.interp(_middles(), [0.5 * (1.0 + math.erf(x / math.sqrt(2.0))) for x in fine], fine)


def _quantiles(values: Floats) -> Quantiles:
    return Quantiles(*(float(value) for value in np.quantile(values, _PROBABILITIES, method="hazen")))
