# SPDX-License-Identifier: GPL-3.0-or-later
"""What a spacecraft that hits an object does to its velocity."""

from dataclasses import dataclass

from gateway.neo.impact.impactor import DEFAULT_ALBEDO, DEFAULT_DENSITY_KG_M3, diameter_of_h_m, sphere_volume_m3


@dataclass(frozen=True, slots=True)
class Mass:
    """A mass and where it comes from, in words."""

    kg: float
    source: str


def mass_of(
    *,
    mass_kg: float | None = None,
    diameter_km: float | None = None,
    density_kg_m3: float | None = None,
    absolute_magnitude_h: float | None = None,
    albedo: float | None = None,
) -> Mass | None:
    """The best that can be said of an object's mass: given, or a sphere of a diameter given or derived from H.

    Returns:
        None where neither mass nor diameter nor H is known.
    """
    if mass_kg is not None:
        return Mass(mass_kg, "given")
    density = DEFAULT_DENSITY_KG_M3 if density_kg_m3 is None else density_kg_m3
    source = f"density {density:g} kg/m3{'' if density_kg_m3 is not None else ' (assumed)'}"
    if diameter_km is None:
        if absolute_magnitude_h is None:
            return None
        p = DEFAULT_ALBEDO if albedo is None else albedo
        diameter_km = diameter_of_h_m(absolute_magnitude_h, p) / 1e3
        source = f"H {absolute_magnitude_h:g}, albedo {p:g}{'' if albedo is not None else ' (assumed)'}, {source}"
    else:
        source = f"diameter {diameter_km:g} km, {source}"
    return Mass(density * sphere_volume_m3(diameter_km * 1e3), source)


def delta_v_km_s(
    object_mass_kg: float, impactor_mass_kg: float, velocity_km_s: tuple[float, float, float], beta: float
) -> tuple[float, float, float]:
    """Velocity change beta m v / M, along the impactor's relative velocity (Cheng et al. 2023, Nature 616, 457)."""
    factor = beta * impactor_mass_kg / object_mass_kg
    x, y, z = velocity_km_s
    return factor * x, factor * y, factor * z
