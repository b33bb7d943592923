# SPDX-License-Identifier: GPL-3.0-or-later
"""The scales against what their keepers published."""

import math

import pytest

from gateway.neo.errors import InvalidImpactError
from gateway.neo.impact import cumulative_palermo_scale, palermo_scale, torino_scale
from gateway.neo.impact.scales import background_frequency_per_year


@pytest.mark.parametrize(
    ("probability", "energy_mt", "years", "published", "tolerance"),
    [
        # (99942) Apophis, 2036-04-13: Sentry's table computed on 2006-10-19 (2.2e-05, 4.0e+02 MT, PS -2.52).
        (2.2e-5, 4.0e2, 2036.28 - 2006.80, -2.52, 0.03),
        # The same object as 2004 MN4, for 2029-04-13, on 2004-12-27: 1 in 37, 1,480 Mt, PS 1.10 (NASA/JPL Sentry).
        (1.0 / 37.0, 1_480.0, 2029.28 - 2004.99, 1.10, 0.02),
        # (101955) Bennu, 2290-09-25: Sentry's table of 2021 (1.0e-07, 1.425e+03 Mt, PS -5.38).
        (1.0e-7, 1.425e3, 2290.73 - 2021.6, -5.38, 0.03),
    ],
)
def test_palermo_of_real_objects(probability, energy_mt, years, published, tolerance):
    """The tolerance is what the last digit of each published number leaves open."""
    assert palermo_scale(probability, energy_mt, years) == pytest.approx(published, abs=tolerance)


def test_palermo_of_2024_yr4_at_its_peak():
    """Sentry, 2025-02-18: 3.1 %, Torino 3, PS -0.18; energy and epoch are 7.8 Mt (55 m) and 2032-12-22.

    The peak's PS is quoted to two digits, P to two, E to two: 0.03.
    """
    assert palermo_scale(0.031, 7.8, 2032.97 - 2025.13) == pytest.approx(-0.18, abs=0.03)
    assert torino_scale(0.031, 7.8, 7.84) == 3


def test_palermo_zero_is_the_background():
    """By definition (Chesley et al. 2002): as likely as something that big anyway, until then."""
    assert background_frequency_per_year(1.0) == 0.03
    assert palermo_scale(0.03, 1.0, 1.0) == pytest.approx(0.0, abs=1e-15)
    assert palermo_scale(0.0, 1.0, 1.0) == -math.inf


def test_cumulative_palermo_adds_risks():
    """Two equal risks are log10(2) more; nothing is nothing."""
    assert cumulative_palermo_scale([-3.0, -3.0]) == pytest.approx(-3.0 + math.log10(2.0))
    assert cumulative_palermo_scale([-2.0, -math.inf]) == pytest.approx(-2.0)
    assert cumulative_palermo_scale([]) == -math.inf


def test_each_torino_region():
    """One point within each region of Binzel 2000, figure 2, as NEOs.jl (Perez-Hernandez et al.) tests its own."""
    energies_mt = [1e2, 1e4, 1e5, 1e1, 1e3, 1e4, 1e7, 1e7, 1e1, 1e4, 1e7]
    probabilities = [1e-6, 1e-4, 1e-3, 1e-1, 1e-1, 1e-1, 1e-3, 1e-1, 0.999, 0.999, 0.999]
    assert [torino_scale(*pair) for pair in zip(probabilities, energies_mt, strict=True)] == list(range(11))


@pytest.mark.parametrize(
    ("probability", "energy_mt", "published"),
    [
        # 2004 MN4 on 2004-12-27: the highest ever, 4.
        (1.0 / 37.0, 1_480.0, 4),
        # (144898) 2004 VD17 in spring 2006: 2; 1 in 1,600, about 1e4 Mt (580 m).
        (6.4e-4, 1.5e4, 2),
    ],
)
def test_torino_of_real_objects(probability, energy_mt, published):
    """From the history of the scale, which knows two objects above 1 before 2025."""
    assert torino_scale(probability, energy_mt, 50.0) == published


BELOW = 1.0 - 1e-9


@pytest.mark.parametrize(
    ("probability", "energy_mt", "on", "below_in_energy", "below_in_probability"),
    [
        # Below 1 Mt nothing counts, however certain.
        (1.0, 1.0, 8, 0, 8),
        # The three oblique borders, in the middle and where they end at 1 %.
        (1e-4, 1e2, 1, 0, 0),
        (1e-4, 1e5, 2, 1, 1),
        (1e-4, 1e8, 6, 2, 2),
        (1e-2, 1e2, 4, 3, 1),
        (1e-2, 1e5, 7, 4, 2),
        # The border of 4 and 5, half way up.
        (1e-1, 10**3.5, 5, 4, 4),
        # Energies at which certain collisions change their reach.
        (0.995, 1e2, 9, 8, 9),
        (0.995, 1e5, 10, 9, 10),
        # Concern begins at 1 %.
        (1e-2, 1e1, 3, 3, 1),
    ],
)
def test_torino_borders(probability, energy_mt, on, below_in_energy, below_in_probability):
    assert torino_scale(probability, energy_mt) == on
    assert torino_scale(probability, energy_mt * BELOW) == below_in_energy
    assert torino_scale(probability * BELOW, energy_mt) == below_in_probability


def test_certainty_is_more_than_99_percent():
    """Binzel 2000: "Categories 8-10 correspond to certain (probability >99%) collisions"."""
    assert torino_scale(0.99, 10.0) == 3
    assert torino_scale(math.nextafter(0.99, 1.0), 10.0) == 8


def test_torino_ends_with_the_century():
    assert torino_scale(0.5, 1e6, 100.0) == 7
    assert torino_scale(0.5, 1e6, 100.1) is None
    assert torino_scale(0.5, 1e6, -1.0) is None


def test_torino_never_falls_with_energy_or_certainty():
    """But from 5 to 7 at P = 1 % upwards nothing skips; a scale that fell would be no scale."""
    probabilities = [10.0**exponent for exponent in range(-12, 0)] + [0.5, 0.98, 0.995, 1.0]
    energies_mt = [10.0 ** (0.25 * step) for step in range(-8, 40)]
    for probability in probabilities:
        grades = [torino_scale(probability, energy) for energy in energies_mt]
        assert grades == sorted(grades)
    for energy in energies_mt:
        grades = [torino_scale(probability, energy) for probability in probabilities]
        assert grades == sorted(grades)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0])
def test_numbers_that_cannot_be_are_named(bad):
    for call, name in (
        (lambda: palermo_scale(bad, 1.0, 1.0), "probability"),
        (lambda: palermo_scale(0.5, bad, 1.0), "energy_mt"),
        (lambda: palermo_scale(0.5, 1.0, bad), "years"),
        (lambda: torino_scale(bad, 1.0), "probability"),
        (lambda: torino_scale(0.5, bad), "energy_mt"),
    ):
        with pytest.raises(InvalidImpactError) as caught:
            call()
        assert [violation.column for violation in caught.value.violations] == [name]
