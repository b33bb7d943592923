# SPDX-License-Identifier: GPL-3.0-or-later
"""What an impact on Earth does, put together from the way through the air, the ground, the blast and the heat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.neo.impact import airburst, blast, ground, thermal
from gateway.neo.impact.domain import MEGATON_J, require
from gateway.neo.impact.entry import Entry, enter
from gateway.neo.impact.impactor import kinetic_energy_mt, sphere_volume_m3

DEFAULT_ANGLE_DEG: Final = 45.0
"""The most probable one (Shoemaker 1962)."""

SOURCE: Final = (
    "Collins, Melosh & Marcus 2005 (Earth Impact Effects Program); blast as revised with Collins et al. 2017; "
    "radii of airbursts as in Mathias, Wheeler & Dotson 2017"
)
OVERPRESSURES_PSI: Final = (1.0, 2.0, 4.0, 10.0)

_GRAZING_DEG: Final = 10.0
_FITTED_DENSITIES_KG_M3: Final = (1_000.0, 8_000.0)
# Slower than sound in rock nothing is excavated by a shock.
_CRATERS_KM_S: Final = 1.0
# 1e8 Mt is Chicxulub.
_GLOBAL_MT: Final = 1e6


@dataclass(frozen=True, slots=True)
class Felt:
    """What is felt at a distance.

    Attributes:
        distance_km: along the ground.
        overpressure_pa: at its peak.
        thermal_exposure_j_m2: None where no fireball is made.
    """

    distance_km: float
    overpressure_pa: float
    thermal_exposure_j_m2: float | None


@dataclass(frozen=True, slots=True)
class Consequences:
    """All that can be said.

    Attributes:
        energy_mt: before the air takes any, megatons of TNT.
        entry: the way through the air.
        air_energy_mt: left in the air.
        ground_energy_mt: that reaches the ground; of a burst nothing does but fragments.
        blast_energy_mt: the larger of the two, which makes the blast wave.
        crater: None where it bursts, or lands too slowly.
        seismic_magnitude: None where it bursts.
        fireball_radius_km: None where it bursts or is too slow.
        blast_reach_km: by overpressure in psi.
        burn_reach_km: by kind of burn; empty without a fireball.
        burst_damage_km: where it bursts, up to where the blast is 4 psi, by another scaling than the reaches.
        burst_burns_km: where it bursts, up to where skin gets third-degree burns.
        felt: at the distances asked for.
        notes: what to keep in mind.
    """

    energy_mt: float
    entry: Entry
    air_energy_mt: float
    ground_energy_mt: float
    blast_energy_mt: float
    crater: ground.Crater | None
    seismic_magnitude: float | None
    fireball_radius_km: float | None
    blast_reach_km: dict[float, float]
    burn_reach_km: dict[thermal.Burn, float]
    burst_damage_km: float | None
    burst_burns_km: float | None
    felt: tuple[Felt, ...]
    notes: tuple[str, ...]


def assess(
    diameter_m: float,
    density_kg_m3: float,
    speed_km_s: float,
    angle_deg: float = DEFAULT_ANGLE_DEG,
    *,
    rock: ground.Rock = ground.Rock.SEDIMENTARY,
    distances_km: Sequence[float] = (),
) -> Consequences:
    """The consequences of an impact on Earth's land.

    Args:
        diameter_m: of the sphere that hits.
        density_kg_m3: of it.
        speed_km_s: at the top of the atmosphere.
        angle_deg: of its path above the horizon there.
        rock: what it hits.
        distances_km: where to tell what is felt.

    Raises:
        InvalidImpactError: a number is out of its domain.
    """
    way = enter(diameter_m, density_kg_m3, speed_km_s, angle_deg)
    for distance_km in distances_km:
        require(distance_km=distance_km)
    mass_kg = density_kg_m3 * sphere_volume_m3(diameter_m)
    energy_mt = kinetic_energy_mt(mass_kg, speed_km_s)
    left_mt = kinetic_energy_mt(mass_kg, way.final_speed_km_s)
    bursts = way.burst_altitude_m is not None
    air_mt, ground_mt = energy_mt - left_mt, 0.0 if bursts else left_mt
    blast_mt = max(air_mt, ground_mt)
    altitude_m = way.burst_altitude_m or 0.0
    hole = None
    if way.spread_m is not None and way.final_speed_km_s >= _CRATERS_KM_S:
        hole = ground.crater(
            diameter_m, density_kg_m3, way.final_speed_km_s, angle_deg, rock=rock, spread_m=way.spread_m
        )
    heat_j = ground_mt * MEGATON_J if not bursts and way.final_speed_km_s >= thermal.LEAST_SPEED_KM_S else None
    return Consequences(
        energy_mt=energy_mt,
        entry=way,
        air_energy_mt=air_mt,
        ground_energy_mt=ground_mt,
        blast_energy_mt=blast_mt,
        crater=hole,
        seismic_magnitude=ground.seismic_magnitude(ground_mt * MEGATON_J) if ground_mt > 0.0 else None,
        fireball_radius_km=None if heat_j is None else thermal.fireball_radius_km(heat_j),
        blast_reach_km={psi: blast.reach_km(psi * blast.PSI_PA, altitude_m, blast_mt) for psi in OVERPRESSURES_PSI},
        burn_reach_km={} if heat_j is None else {burn: thermal.reach_km(burn, heat_j) for burn in thermal.Burn},
        burst_damage_km=airburst.damage_radius_km(altitude_m, energy_mt) if bursts else None,
        burst_burns_km=airburst.burns_radius_km(altitude_m, energy_mt) if bursts else None,
        felt=tuple(
            Felt(
                distance_km,
                blast.overpressure_pa(distance_km, altitude_m, blast_mt),
                None if heat_j is None else thermal.exposure_j_m2(distance_km, heat_j),
            )
            for distance_km in distances_km
        ),
        notes=tuple(_notes(way, density_kg_m3, angle_deg, energy_mt)),
    )


def _notes(way: Entry, density_kg_m3: float, angle_deg: float, energy_mt: float) -> list[str]:
    notes = ["an impact on land: the sea, its waves and what lies on the ground are left out"]
    if way.burst_altitude_m is not None:
        notes.append(f"near an airburst up to {blast.AIRBURST_UNCERTAINTY:g} times the overpressure may be felt")
        notes.append("the heat of an airburst is that of all its energy, at its altitude: what is felt leaves it out")
    elif way.final_speed_km_s < _CRATERS_KM_S:
        notes.append("it lands slower than 1 km/s: a pit, not an impact crater")
    if angle_deg < _GRAZING_DEG:
        notes.append("below 10 deg the path may lead out of the atmosphere again, which is not followed")
    if not _FITTED_DENSITIES_KG_M3[0] <= density_kg_m3 <= _FITTED_DENSITIES_KG_M3[1]:
        notes.append("the strength was fitted to densities from 1,000 to 8,000 kg/m3")
    if energy_mt > _GLOBAL_MT:
        notes.append("above 1e6 Mt the consequences are global, which these local laws do not describe")
    return notes
