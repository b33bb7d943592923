# SPDX-License-Identifier: GPL-3.0-or-later
"""The consequences against what the Earth Impact Effects Program (EIEP) prints, and against quadrature."""

import dataclasses
import math

import numpy as np
import pytest

from gateway.neo.errors import InvalidImpactError
from gateway.neo.impact import Rock, airburst, assess, blast, impactor_of
from gateway.neo.impact.blast import PSI_PA, overpressure_pa, reach_km
from gateway.neo.impact.entry import enter, strength_of_density_pa
from gateway.neo.impact.impactor import diameter_of_h_m
from gateway.neo.impact.thermal import Burn, exposure_j_m2
from gateway.neo.impact.thermal import reach_km as burn_reach_km


@pytest.mark.parametrize(
    ("diameter_m", "entry_mt", "burst_mt", "altitude_km"),
    [
        (4, 0.003, 0.00075, 42.5),
        (7, 0.016, 0.0054, 36.3),
        (10, 0.047, 0.019, 31.9),
        (15, 0.159, 0.082, 26.4),
        (20, 0.376, 0.230, 22.4),
        (30, 1.3, 0.930, 16.5),
        (50, 5.9, 5.2, 8.7),
        (70, 16.0, 15.2, 3.6),
        (85, 29.0, 28.0, 0.58),
    ],
)
def test_airbursts_as_eiep_tabulates_them(diameter_m, entry_mt, burst_mt, altitude_km):
    """EIEP for 2,600 kg/m3, 17 km/s, 45 deg: the table in Wikipedia's "Meteor air burst" and "Impact event"."""
    found = assess(diameter_m, 2_600.0, 17.0, 45.0)
    assert found.energy_mt == pytest.approx(entry_mt, rel=0.04)
    assert found.air_energy_mt == pytest.approx(burst_mt, rel=0.02)
    assert found.entry.burst_altitude_m / 1e3 == pytest.approx(altitude_km, abs=0.08)
    assert found.crater is None
    assert found.ground_energy_mt == 0.0


@pytest.mark.parametrize(
    ("diameter_m", "entry_mt", "impact_mt", "crater_km"),
    [
        (130, 103, 31.4, 2.0),
        (150, 159, 71.5, 2.4),
        (200, 376, 261, 3.0),
        (250, 734, 598, 3.8),
        (300, 1_270, 1_110, 4.6),
        (400, 3_010, 2_800, 6.0),
        (700, 16_100, 15_700, 10.0),
        (1_000, 47_000, 46_300, 13.6),
    ],
)
def test_craters_as_eiep_tabulates_them(diameter_m, entry_mt, impact_mt, crater_km):
    """EIEP for the same on sedimentary rock: the table of craters in Wikipedia's "Impact event"."""
    found = assess(diameter_m, 2_600.0, 17.0, 45.0, rock=Rock.SEDIMENTARY)
    assert found.energy_mt == pytest.approx(entry_mt, rel=0.005)
    assert found.ground_energy_mt == pytest.approx(impact_mt, rel=0.005)
    assert found.crater.final_diameter_m / 1e3 == pytest.approx(crater_km, abs=0.07)
    assert found.entry.burst_altitude_m is None


def test_chelyabinsk_as_eiep_prints_it():
    """EIEP's Python (Xing, impact-effects, log/Chelyabinsk): 22 m, 3,300 kg/m3, 19 km/s, 20 deg, 1 km from below."""
    found = assess(22.0, 3_300.0, 19.0, 20.0, distances_km=[1.0])
    assert found.entry.breakup_altitude_m == pytest.approx(52_746.996, rel=2e-4)
    assert found.entry.burst_altitude_m == pytest.approx(28_412.279, rel=1e-4)
    assert found.entry.final_speed_km_s == pytest.approx(14.177812, rel=1e-4)
    assert found.air_energy_mt == pytest.approx(0.35, abs=0.005)
    # "1651.804870 - 3303.609741 Pa"
    assert found.felt[0].overpressure_pa == pytest.approx(1_651.8, rel=2e-3)
    assert found.felt[0].thermal_exposure_j_m2 is None


def test_tunguska_as_eiep_prints_it():
    """The same program's log/Tunguska: 60 m, 2,700 kg/m3, 20 km/s, 45 deg; 14.6 Mt, of which 13.4 in the air."""
    found = assess(60.0, 2_700.0, 20.0, 45.0)
    assert found.energy_mt == pytest.approx(14.6, rel=2e-3)
    assert found.entry.burst_altitude_m == pytest.approx(5_736.5, abs=0.1)
    assert found.entry.final_speed_km_s == pytest.approx(5.728477, rel=1e-5)
    assert found.air_energy_mt == pytest.approx(13.4, rel=2e-3)


def test_ries_as_eiep_prints_it():
    """The same program's log/Ries: 1.5 km, 2,700 kg/m3, 20 km/s, 30 deg, felt at 200 km."""
    found = assess(1_500.0, 2_700.0, 20.0, 30.0, rock=Rock.CRYSTALLINE, distances_km=[200.0])
    assert found.entry.final_speed_km_s == pytest.approx(19.863214097901338, rel=1e-8)
    assert found.crater.transient_diameter_m == pytest.approx(12_953.13, rel=2e-3)
    assert found.crater.final_diameter_m == pytest.approx(18_176.06, rel=3e-3)
    assert found.crater.final_depth_m == pytest.approx(708.45, rel=1e-3)
    assert found.crater.is_complex
    assert not found.crater.is_field
    assert found.seismic_magnitude == pytest.approx(8.2, abs=0.05)
    # The time of the brightest fireball is radius over speed: 0.986769 s.
    assert found.fireball_radius_km == pytest.approx(0.986769 * 19.863214, rel=1e-3)
    assert found.felt[0].thermal_exposure_j_m2 == pytest.approx(8.95e6, rel=1e-3)
    assert found.felt[0].overpressure_pa == pytest.approx(58_643.6, rel=2e-3)


def test_barringer_as_eiep_prints_it():
    """The same program's log/Meteor: 40 m of iron (8,000 kg/m3), 20 km/s, 45 deg; felt at 200 km.

    Its hardness (eq. 10) has 2.7185 x 1.5 where the paper prints 4.07, which moves the breakup by 0.3 % here.
    """
    found = assess(40.0, 8_000.0, 20.0, 45.0, distances_km=[200.0])
    assert found.energy_mt == pytest.approx(12.8, rel=2e-3)
    assert found.entry.breakup_altitude_m == pytest.approx(16_745.6, rel=4e-3)
    assert found.entry.final_speed_km_s == pytest.approx(9.927755, rel=4e-3)
    assert found.air_energy_mt == pytest.approx(9.65, rel=4e-3)
    # "an ellipse of dimension 0.333143 km by 0.235568 km": along the path stretched by 1 / sin(45 deg).
    assert found.entry.spread_m == pytest.approx(235.568, rel=0.01)
    assert found.seismic_magnitude == pytest.approx(4.9, abs=0.05)
    assert found.felt[0].overpressure_pa == pytest.approx(597.7588, rel=4e-3)
    # Slower than 15 km/s: "no fireball is created".
    assert found.fireball_radius_km is None
    assert not found.burn_reach_km
    # The crater in Arizona is 1.19 km wide.
    assert 900.0 < found.crater.final_diameter_m < 1_400.0


def slowed(way, diameter_m, density, speed_km_s, angle_deg, to_m):
    """The speed at an altitude by quadrature of eq. 17, the pancake growing by eq. 15."""
    air, height, sine = 1.0, 8_000.0, math.sin(math.radians(angle_deg))
    z = np.linspace(to_m, 40.0 * height, 2_000_001)
    dispersion = diameter_m * sine * math.sqrt(density / (2.0 * air * math.exp(-way.breakup_altitude_m / height)))
    growth = 2.0 * height / dispersion * np.expm1(np.maximum(way.breakup_altitude_m - z, 0.0) / (2.0 * height))
    area = 1.0 + growth**2
    drag = np.trapezoid(0.75 * 2.0 * air * np.exp(-z / height) * area / (density * diameter_m * sine), z)
    return speed_km_s * math.exp(-drag), diameter_m * math.sqrt(area[0])


@pytest.mark.parametrize(
    "body", [(20.0, 2_600.0, 17.0, 45.0), (60.0, 1_000.0, 50.0, 80.0), (100.0, 4_000.0, 25.0, 10.0)]
)
def test_the_closed_form_of_a_burst_is_its_integral(body):
    way = enter(*body)
    speed, width = slowed(way, *body, way.burst_altitude_m)
    assert way.final_speed_km_s == pytest.approx(speed, rel=1e-4)
    # A burst is where the pancake is seven times as wide.
    assert width == pytest.approx(7.0 * body[0], rel=1e-9)


@pytest.mark.parametrize(
    "body", [(130.0, 2_600.0, 17.0, 45.0), (400.0, 600.0, 60.0, 30.0), (40.0, 8_000.0, 20.0, 45.0)]
)
def test_the_closed_form_down_to_the_ground_is_its_integral(body):
    way = enter(*body)
    speed, width = slowed(way, *body, 0.0)
    assert way.final_speed_km_s == pytest.approx(speed, rel=1e-4)
    assert way.spread_m == pytest.approx(width, rel=1e-9)


def test_the_approximate_breakup_is_where_the_air_presses_as_hard_as_the_strength():
    """Eq. 11 is a fit; its authors find it good to a per cent or so of the altitude."""
    for body in [(20.0, 2_600.0, 17.0, 45.0), (1_000.0, 3_000.0, 12.0, 90.0), (10.0, 500.0, 60.0, 20.0)]:
        diameter_m, density, speed_km_s, angle_deg = body
        way = enter(*body)
        sine = math.sin(math.radians(angle_deg))

        def pressure(z, diameter_m=diameter_m, density=density, speed_km_s=speed_km_s, sine=sine):
            air = math.exp(-z / 8_000.0)
            return (
                air
                * (speed_km_s * 1e3 * math.exp(-3.0 * air * 2.0 * 8_000.0 / (4.0 * density * diameter_m * sine))) ** 2
            )

        assert pressure(way.breakup_altitude_m) == pytest.approx(strength_of_density_pa(density), rel=0.05)


def test_reaches_are_where_the_threshold_is():
    for altitude_m, energy_mt in ((0.0, 100.0), (8_000.0, 5.0), (300.0, 0.01)):
        for psi in (1.0, 4.0, 10.0):
            distance_km = reach_km(psi * PSI_PA, altitude_m, energy_mt)
            if distance_km:
                assert overpressure_pa(distance_km, altitude_m, energy_mt) == pytest.approx(psi * PSI_PA, rel=1e-9)
            else:
                assert overpressure_pa(1e-3, altitude_m, energy_mt) < psi * PSI_PA
    energy_j = 1e20
    for burn in Burn:
        distance_km = burn_reach_km(burn, energy_j)
        assert exposure_j_m2(distance_km, energy_j) == pytest.approx(burn.exposure_j_m2(energy_j / 4.184e15), rel=1e-6)


def test_size_from_magnitude():
    """Pravec & Harris 2007, eq. 1: H = 18 and p = 0.14 are 0.892 km; 5 magnitudes are a factor of ten."""
    assert diameter_of_h_m(18.0, 0.14) == pytest.approx(1_329e3 / math.sqrt(0.14) * 10**-3.6)
    assert diameter_of_h_m(13.0, 0.14) == pytest.approx(10.0 * diameter_of_h_m(18.0, 0.14))


def test_apophis_as_sentry_had_it():
    """Sentry on 2006-10-19: 0.250 km, 2.1e+10 kg, v 12.59 km/s, 4.0e+02 MT; its density was 2,600 kg/m3."""
    body = impactor_of(diameter_m=250.0, density_kg_m3=2_600.0)
    assert body.mass_kg == pytest.approx(2.1e10, rel=0.02)
    assert body.energy_mt(12.59) == pytest.approx(4.0e2, rel=0.02)


def test_what_is_not_known_becomes_a_range():
    """With everything given there is none; an unknown albedo gives more than an unknown density."""
    known = impactor_of(absolute_magnitude_h=20.0, albedo=0.14, density_kg_m3=2_000.0)
    assert known.mass_range_kg.p05 == known.mass_range_kg.p95 == pytest.approx(known.mass_kg)
    dense = impactor_of(absolute_magnitude_h=20.0, albedo=0.14)
    dark = impactor_of(absolute_magnitude_h=20.0, density_kg_m3=2_000.0)
    both = impactor_of(absolute_magnitude_h=20.0)
    spreads = [body.mass_range_kg.p95 / body.mass_range_kg.p05 for body in (known, dense, dark, both)]
    assert spreads == sorted(spreads)
    assert spreads[0] == pytest.approx(1.0)
    assert dense.mass_range_kg.p05 == pytest.approx(1_370.0 / 2_000.0 * known.mass_kg, rel=0.01)
    assert both.diameter_range_m.p05 < known.diameter_m < both.diameter_range_m.p95
    assert dark.diameter_range_m.p95 / dark.diameter_range_m.p05 > 3.0
    # The sigma of H alone: 0.3 mag are 10^(3 * 0.3 / 5) in mass at one sigma.
    blurred = impactor_of(absolute_magnitude_h=20.0, absolute_magnitude_sigma=0.3, albedo=0.14, density_kg_m3=2_000.0)
    assert blurred.mass_range_kg.p95 / known.mass_kg == pytest.approx(10 ** (3 * 0.3 * 1.645 / 5), rel=0.01)
    assert blurred.mass_range_kg.p50 == pytest.approx(known.mass_kg, rel=1e-3)


def test_energy_carries_the_range():
    body = impactor_of(absolute_magnitude_h=23.92)
    range_mt = body.energy_range_mt(17.32)
    assert range_mt.p05 < body.energy_mt(17.32) < range_mt.p95
    assert range_mt.p95 / range_mt.p05 == pytest.approx(body.mass_range_kg.p95 / body.mass_range_kg.p05)


def test_a_mass_and_a_diameter_are_a_density():
    body = impactor_of(mass_kg=1e9, diameter_m=100.0, density_kg_m3=9.0)
    assert body.density_kg_m3 == pytest.approx(1e9 / (math.pi / 6 * 1e6))
    assert body.mass_kg == 1e9


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_impossible_bodies_are_named(bad):
    for name in ("mass_kg", "diameter_m", "density_kg_m3", "albedo"):
        with pytest.raises(InvalidImpactError) as caught:
            impactor_of(**{"absolute_magnitude_h": 20.0, name: bad})
        assert [violation.column for violation in caught.value.violations] == [name]
    for index, name in enumerate(("diameter_m", "density_kg_m3", "speed_km_s", "angle_deg")):
        body = [50.0, 3_000.0, 20.0, 45.0]
        body[index] = bad
        with pytest.raises(InvalidImpactError) as caught:
            assess(*body)
        assert [violation.column for violation in caught.value.violations] == [name]
    with pytest.raises(InvalidImpactError):
        assess(50.0, 3_000.0, 20.0, distances_km=[bad])
    with pytest.raises(InvalidImpactError, match="needs a mass"):
        impactor_of()


def numbers(value):
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, float):
        yield value


def test_every_corner_of_the_domain_has_finite_consequences():
    """From dust to the Moon, comet snow to twice iron, grazing to straight down."""
    count = 0
    for diameter_m in (1e-3, 1.0, 30.0, 1e3, 4e6):
        for density in (1.0, 600.0, 3_000.0, 20_000.0):
            for speed_km_s in (1.0, 11.2, 20.0, 100.0):
                for angle_deg in (1.0, 45.0, 90.0):
                    found = assess(diameter_m, density, speed_km_s, angle_deg, distances_km=[1e-3, 100.0, 20_000.0])
                    assert all(math.isfinite(number) for number in numbers(found))
                    assert found.entry.final_speed_km_s <= speed_km_s
                    assert found.energy_mt >= found.blast_energy_mt
                    assert found.ground_energy_mt + found.air_energy_mt <= found.energy_mt * (1 + 1e-12)
                    count += 1
    assert count == 240


def test_more_energy_reaches_farther_and_steeper_paths_go_deeper():
    reaches = [assess(size, 2_600.0, 17.0).blast_reach_km[1.0] for size in (30.0, 50.0, 70.0)]
    assert reaches == sorted(reaches)
    altitudes = [assess(30.0, 2_600.0, 17.0, angle).entry.burst_altitude_m for angle in (10.0, 30.0, 60.0, 90.0)]
    assert altitudes == sorted(altitudes, reverse=True)


@pytest.mark.parametrize("energy_mt", [0.5, 1.0, 15.0, 100.0])
@pytest.mark.parametrize("scaled_km", [0.5, 1.0, 2.0, 2.33, 3.0, 4.0, 5.0])
def test_two_fits_of_4_psi_agree(energy_mt, scaled_km):
    """PAIR's scaling (Hills & Goda 1993) and Collins et al. 2017's law were fitted apart, to nuclear tests both."""
    altitude_m = scaled_km * math.cbrt(energy_mt) * 1e3
    fitted_km = blast.reach_km(4.0 * blast.PSI_PA, altitude_m, energy_mt)
    assert airburst.damage_radius_km(altitude_m, energy_mt) == pytest.approx(fitted_km, rel=0.3)


def test_damage_is_widest_at_the_optimal_height():
    """At 2.33 km E^1/3 it is 7.51 km E^1/3: the vertex of eq. 5. From 6.39 km E^1/3 up there is none."""
    for energy_mt in (0.01, 1.0, 300.0):
        scale = math.cbrt(energy_mt)
        widest_km = airburst.damage_radius_km(2.3274 * scale * 1e3, energy_mt)
        assert widest_km == pytest.approx(7.512 * scale, rel=1e-4)
        assert airburst.damage_radius_km(2.0 * scale * 1e3, energy_mt) < widest_km
        assert airburst.damage_radius_km(6.39 * scale * 1e3, energy_mt) > 0.0
        assert airburst.damage_radius_km(6.43 * scale * 1e3, energy_mt) == 0.0


def test_tunguska_felled_trees_and_chelyabinsk_none():
    """2,150 km2 of trees are a radius of 26 km, and 4 psi is more than a tree needs; Chelyabinsk lost its windows."""
    tunguska = assess(60.0, 2_700.0, 20.0, 45.0)
    assert 13.0 < tunguska.burst_damage_km < 26.0
    assert 0.0 < tunguska.burst_burns_km < tunguska.burst_damage_km
    chelyabinsk = assess(22.0, 3_300.0, 19.0, 20.0)
    assert (chelyabinsk.burst_damage_km, chelyabinsk.burst_burns_km) == (0.0, 0.0)


def test_what_does_not_burst_has_no_radii_of_a_burst():
    found = assess(1_500.0, 2_700.0, 20.0, 30.0)
    assert (found.burst_damage_km, found.burst_burns_km) == (None, None)


def test_burns_reach_as_far_as_their_exposure():
    """Eq. 6 turned around: half a sphere of the radiated energy, seen from the burst."""
    energy_mt, altitude_m = 20.0, 5_000.0
    slant_m = math.hypot(airburst.burns_radius_km(altitude_m, energy_mt) * 1e3, altitude_m)
    exposure_j_m2 = 3e-3 * energy_mt * 4.184e15 / (2.0 * math.pi * slant_m**2)
    assert exposure_j_m2 == pytest.approx(4.2e5 * energy_mt ** (1.0 / 6.0))


def test_a_pebble_of_iron_lands_without_a_crater():
    found = assess(0.05, 8_000.0, 12.0)
    assert found.crater is None
    assert found.entry.final_speed_km_s < 0.2
    assert any("pit" in note for note in found.notes)
