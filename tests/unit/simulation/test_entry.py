# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries made to measure: an object at 100 km above a chosen place, carried away, and followed back."""

import numpy as np
import pytest

from gateway.neo.units import AU_KM
from gateway.simulation import branch
from gateway.simulation.bodies import Body
from gateway.simulation.earth_orientation import air_velocity_km_s, east_north_up, geodetic, orientation
from gateway.simulation.encounters import Approach, search
from gateway.simulation.entry import find_entry
from gateway.simulation.nbody import Forces, Integrator
from gateway.simulation.scenario import Branch, Sighting
from tests.unit.simulation.made import START_D, asked, beside, carried, scenario

# WGS84: NGA.STND.0036, table 3.1.
EQUATOR_KM, FLATTENING = 6378.137, 1 / 298.257223563
# 2024-01-21, when leap seconds are known.
LATELY_D = 8785.5


def place(latitude_deg, longitude_deg, altitude_km):
    """(3,) terrestrial km, by the textbook formula rather than by ERFA."""
    latitude, longitude = np.radians((latitude_deg, longitude_deg))
    square = FLATTENING * (2 - FLATTENING)
    normal = EQUATOR_KM / np.sqrt(1 - square * np.sin(latitude) ** 2)
    across = (normal + altitude_km) * np.cos(latitude)
    up = (normal * (1 - square) + altitude_km) * np.sin(latitude)
    return np.array([across * np.cos(longitude), across * np.sin(longitude), up])


def above(latitude_deg, longitude_deg, altitude_km, east_north_up_km_s, time_d=LATELY_D):
    """(6,) barycentric ICRF: above a place, with a velocity relative to the turning air."""
    to_terrestrial = orientation(time_d).to_terrestrial
    position = place(latitude_deg, longitude_deg, altitude_km)
    velocity = np.array(east_north_up_km_s) @ east_north_up(latitude_deg, longitude_deg) + air_velocity_km_s(position)
    return beside(Body.EARTH, position @ to_terrestrial, velocity @ to_terrestrial, time_d)


def followed(there, before_d=3.0, duration_d=6.0, time_d=LATELY_D):
    start, start_d = carried(there, time_d, time_d - before_d)
    outcome, updates = asked(scenario(start, start_d, duration_d, limits_au={Body.EARTH: 0.01}))
    went = outcome.branches[Branch.BASELINE]
    assert [u.entry for u in updates if isinstance(u, Sighting)] == list(went.entries)
    return outcome, went


@pytest.mark.parametrize("where", [(52.5, 12.5), (-80.0, -170.0), (0.0, 179.9), (33.0, -90.0)])
@pytest.mark.parametrize(("azimuth_deg", "steepness_deg"), [(45.0, 60.0), (250.0, 20.0), (181.0, 85.0)])
def test_an_entry_is_found_where_it_was_made(where, azimuth_deg, steepness_deg):
    """Within 20 m on the ground and 2 ms; speeds within 1 mm/s."""
    azimuth, steep = np.radians((azimuth_deg, steepness_deg))
    level = 17.0 * np.cos(steep)
    velocity = (level * np.sin(azimuth), level * np.cos(azimuth), -17.0 * np.sin(steep))
    there = above(*where, 100.0, velocity)
    _, went = followed(there)
    assert went.approaches[-1].impact is not None
    entry = went.entries[-1]
    assert abs(entry.time_d - LATELY_D) * 86_400 < 2e-3
    assert abs(entry.latitude_deg - where[0]) < 2e-4
    off_deg = (entry.longitude_deg - where[1] + 180.0) % 360.0 - 180.0
    assert abs(off_deg) * np.cos(np.radians(where[0])) < 2e-4
    assert entry.speed_in_atmosphere_km_s == pytest.approx(17.0, abs=1e-6)
    assert entry.flight_path_angle_deg == pytest.approx(-steepness_deg, abs=2e-4)
    assert entry.azimuth_deg == pytest.approx(azimuth_deg, abs=1e-3)
    earth = beside(Body.EARTH, (0, 0, 0), (0, 0, 0), LATELY_D)
    inertial_km_s = np.linalg.norm((there - earth)[3:]) * AU_KM / 86_400
    assert entry.speed_km_s == pytest.approx(inertial_km_s, abs=1e-6)


@pytest.mark.parametrize(("altitude_km", "enters"), [(60.0, True), (99.9, True), (100.1, False), (300.0, False)])
def test_a_graze_enters_and_comes_out_again(altitude_km, enters):
    _, went = followed(above(10.0, 20.0, altitude_km, (12.0, 3.0, 0.0)))
    (approach,), (entry,) = went.approaches, went.entries
    assert approach.impact is None
    assert went.final_state is not None
    assert (entry is not None) is enters
    if enters:
        assert entry.time_d < approach.time_d
        assert -25.0 < entry.flight_path_angle_deg < 0.0


def test_backwards_the_way_up_is_met():
    start, start_d = carried(above(10.0, 20.0, 60.0, (12.0, 3.0, 0.0)), LATELY_D, LATELY_D + 3.0)
    outcome, _ = asked(scenario(start, start_d, -6.0, limits_au={Body.EARTH: 0.01}))
    (entry,) = outcome.branches[Branch.BASELINE].entries
    assert entry.flight_path_angle_deg > 0.0
    assert entry.time_d > LATELY_D


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_an_entry_is_the_same_wherever_a_batch_of_steps_ends(monkeypatch, at_once):
    there = above(10.0, 20.0, 60.0, (12.0, 3.0, 0.0))
    _, whole = followed(there, before_d=0.02, duration_d=0.04)
    monkeypatch.setattr(branch, "_STEPS_AT_ONCE", at_once)
    _, parts = followed(there, before_d=0.02, duration_d=0.04)
    assert abs(whole.entries[0].time_d - parts.entries[0].time_d) < 2e-9


def test_who_starts_lower_does_not_enter():
    outcome, _ = asked(scenario(above(10.0, 20.0, 90.0, (0.0, 0.0, -12.0)), LATELY_D, 1.0))
    went = outcome.branches[Branch.BASELINE]
    assert went.approaches[-1].impact is not None
    assert went.entries == (None,)


def test_only_earth_has_an_atmosphere_here():
    start, start_d = carried(beside(Body.MOON, (0, 0, 1738.0), (3.0, 0, 0)), START_D, START_D - 1.0)
    steps = Integrator(start, start_d, Forces()).advance(START_D + 1.0, max_steps=1000)
    moon = [a for a in search(steps, {Body.MOON: 0.01}) if a.body is Body.MOON]
    assert isinstance(moon[0], Approach)
    assert find_entry(steps, moon[0]) is None


def test_unknown_leap_seconds_are_said():
    there = above(10.0, 20.0, 100.0, (0.0, 0.0, -12.0), time_d=LATELY_D + 40 * 365.25)
    outcome, went = followed(there, time_d=LATELY_D + 40 * 365.25)
    assert not went.entries[-1].utc_known
    assert any("leap seconds are not known" in note for note in outcome.notes)
    outcome, went = followed(above(10.0, 20.0, 100.0, (0.0, 0.0, -12.0)))
    assert went.entries[-1].utc_known
    assert not any("leap seconds" in note for note in outcome.notes)


@pytest.mark.parametrize("time_d", [-7305.0, 0.0, 8785.5])
def test_earth_turns_as_the_almanac_says(time_d):
    """Sidereal time by Capitaine, Wallace & Chapront 2003 (A&A 412, 567, eq. 42), precession in right ascension out.

    Nutation, left out here, is 17" in longitude, 16" in right ascension: 0.005 deg; the UTC of 1980, 2000 and 2024.
    """
    leap_s = {-7305.0: 19, 0.0: 32, 8785.5: 37}[time_d]
    utc_d = time_d - (leap_s + 32.184) / 86_400
    turned_deg = 360.0 * (0.7790572732640 + 1.00273781191135448 * utc_d)
    # A star at the intermediate origin, which precession keeps within 0.01 deg of the equinox of ICRF for decades.
    x, y, _ = orientation(time_d).to_terrestrial @ np.array([1.0, 0.0, 0.0])
    longitude_deg = np.degrees(np.arctan2(y, x))
    assert abs((longitude_deg + turned_deg + 180.0) % 360.0 - 180.0) < 0.01


def test_the_ellipsoid_is_wgs84():
    points = [(-89.0, 30.0, 0.0), (45.0, -120.0, 100.0), (0.0, 180.0, 1000.0)]
    latitudes, longitudes, altitudes = geodetic(np.array([place(*point) for point in points]))
    np.testing.assert_allclose(
        np.stack((latitudes, np.abs(longitudes), altitudes), axis=1),
        np.abs(points) * [[-1, 1, 1], [1, 1, 1], [1, 1, 1]],
        atol=1e-9,
    )
