# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from gateway.simulation.deflection.impactor import delta_v_km_s, mass_of


def test_dart_on_dimorphos():
    """Cheng et al. 2023: 579.4 kg at 6.1449 km/s, beta 3.61, on 4.3e9 kg gave 2.70 mm/s (along the orbit)."""
    gained = delta_v_km_s(4.3e9, 579.4, (6.1449, 0.0, 0.0), 3.61)
    assert gained[0] * 1e6 == pytest.approx(2.70, abs=0.3)
    assert gained[1:] == (0.0, 0.0)


def test_a_given_mass_goes_before_everything():
    assert mass_of(mass_kg=5.0, diameter_km=1.0, absolute_magnitude_h=20.0).kg == 5.0


def test_a_sphere_of_a_kilometre():
    mass = mass_of(diameter_km=1.0, density_kg_m3=1000.0)
    assert mass.kg == pytest.approx(5.235988e11, rel=1e-6)
    assert "assumed" not in mass.source


def test_assumptions_are_said():
    """H 17.75 at albedo 0.14 is 1 km: CNEOS' own rule of thumb."""
    mass = mass_of(absolute_magnitude_h=17.75)
    assert mass.kg == pytest.approx(2000.0 * 5.235988e8, rel=0.02)
    assert mass.source == "H 17.75, albedo 0.14 (assumed), density 2000 kg/m3 (assumed)"


def test_nothing_known_is_no_mass():
    assert mass_of(albedo=0.1, density_kg_m3=3000.0) is None
