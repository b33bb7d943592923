# SPDX-License-Identifier: GPL-3.0-or-later
"""Encounters made to measure: put an object beside a body, carry it away, and let the search find the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.encounters import find_root
from gateway.simulation.scenario import Branch, Sighting
from gateway.simulation.surfaces import body_around
from tests.unit.simulation.made import START_D, asked, beside, carried, scenario

# Far from the Sun a fast object would be unbound anyway; near it the bodies are small.
PLANETS = [body for body in Body if body is not Body.SUN]


def nearest(outcome, body):
    found = [a for a in outcome.branches[Branch.BASELINE].approaches if a.body is body]
    return min(found, key=lambda approach: approach.distance_km)


@pytest.mark.parametrize("body", PLANETS)
@pytest.mark.parametrize("days", [25.0, -25.0])
def test_a_made_encounter_is_found_where_and_when_it_was_made(body, days):
    """Within 10 m and 5 ms, forwards and backwards; relative speed to 1e-6 km/s."""
    radius_km = PROPERTIES[body].mean_radius_km
    escape = np.sqrt(2 * PROPERTIES[body].gm_km3_s2 / (3 * radius_km))
    speed = float(np.hypot(escape, 9.0))
    there = beside(body, (0, 0, 3 * radius_km), (speed, 0, 0))
    start, start_d = carried(there, START_D, START_D - days)
    outcome, updates = asked(scenario(start, start_d, 1.6 * days))
    found = nearest(outcome, body)
    assert abs(found.time_d - START_D) * 86_400 < 5e-3
    assert abs(found.distance_km - 3 * radius_km) < 0.01
    assert abs(found.relative_velocity_km_s - speed) < 1e-6
    assert found.hyperbola.v_infinity_km_s == pytest.approx(9.0, rel=1e-5)
    assert found.impact is None
    assert [u.approach for u in updates if isinstance(u, Sighting)] == list(
        outcome.branches[Branch.BASELINE].approaches
    )


@pytest.mark.parametrize("body", PLANETS)
@pytest.mark.parametrize("days", [25.0, -25.0])
def test_a_made_impact_is_found_where_the_surface_is_crossed(body, days):
    """45 degrees steep: within 10 ms; the branch ends there."""
    radius_km = PROPERTIES[body].mean_radius_km
    escape = np.sqrt(2 * PROPERTIES[body].gm_km3_s2 / radius_km)
    speed = float(np.hypot(escape, 9.0))
    down = np.array([speed, 0.0, -np.sign(days) * speed]) / np.sqrt(2)
    surface = beside(body, (0, 0, radius_km * (1 + 1e-9)), down)
    start, start_d = carried(surface, START_D, START_D - days)
    outcome, _ = asked(scenario(start, start_d, 1.6 * days, check_round_trip=True))
    branch = outcome.branches[Branch.BASELINE]
    found = branch.approaches[-1]
    assert found.body is body
    assert abs(found.impact.time_d - START_D) * 86_400 < 1e-2
    assert found.impact.relative_velocity_km_s == pytest.approx(speed, rel=1e-5)
    assert found.distance_km < radius_km
    assert branch.final_d == found.impact.time_d
    assert branch.final_state is None
    assert branch.round_trip_error_km is None
    assert "no round trip from an impact" in outcome.notes


def test_an_impact_counts_on_bodies_that_were_not_asked_for():
    venus = PROPERTIES[Body.VENUS]
    start, start_d = carried(beside(Body.VENUS, (0, 0, venus.mean_radius_km), (0, 0, -15.0)), START_D, START_D - 10)
    outcome, _ = asked(scenario(start, start_d, 20.0, limits_au={Body.EARTH: 0.2}))
    assert [a.body for a in outcome.branches[Branch.BASELINE].approaches] == [Body.VENUS]


def test_a_scenario_that_ends_within_a_body_has_hit_it():
    """Ten seconds after the surface, long before the centre."""
    earth = PROPERTIES[Body.EARTH]
    start, start_d = carried(beside(Body.EARTH, (0, 0, earth.mean_radius_km), (0, 0, -15.0)), START_D, START_D - 1)
    outcome, _ = asked(scenario(start, start_d, START_D + 10 / 86_400 - start_d))
    assert outcome.branches[Branch.BASELINE].approaches[-1].impact.time_d == pytest.approx(START_D, abs=1e-7)


def test_limits_leave_out_what_is_farther():
    start, start_d = carried(beside(Body.EARTH, (1e6, 0, 0), (0, 10, 0)), START_D, START_D - 10)
    near, _ = asked(scenario(start, start_d, 20.0, limits_au={Body.EARTH: 1.01e6 / 1.496e8}))
    far, _ = asked(scenario(start, start_d, 20.0, limits_au={Body.EARTH: 0.99e6 / 1.496e8}))
    assert len(near.branches[Branch.BASELINE].approaches) == 1
    assert not far.branches[Branch.BASELINE].approaches


def test_a_satellite_comes_near_once_a_revolution():
    """Apogee start, 10 revolutions, bound: no speed at infinity."""
    semi_major_axis_km, eccentricity = 100_000.0, 0.5
    gm = PROPERTIES[Body.EARTH].gm_km3_s2
    apogee = semi_major_axis_km * (1 + eccentricity)
    speed = np.sqrt(gm * (2 / apogee - 1 / semi_major_axis_km))
    period_d = 2 * np.pi * np.sqrt(semi_major_axis_km**3 / gm) / 86_400
    start = beside(Body.EARTH, (0, apogee, 0), (speed, 0, 0))
    outcome, _ = asked(scenario(start, START_D, 10 * period_d, limits_au={Body.EARTH: 0.2}))
    found = outcome.branches[Branch.BASELINE].approaches
    assert len(found) == 10
    assert all(a.hyperbola is None and a.impact is None for a in found)
    assert any("errors grow" in note for note in outcome.notes)


def test_what_is_inside_a_body_is_known():
    assert body_around(beside(Body.MOON, (0, 1000, 0), (0, 0, 1)), START_D) is Body.MOON
    assert body_around(beside(Body.MOON, (0, 1800, 0), (0, 0, 1)), START_D) is None


@given(root=st.floats(-5, 5), steepness=st.floats(0.01, 20))
def test_roots_are_found_within_their_bracket(root, steepness):
    found = find_root(lambda t: np.expm1(steepness * (t - root)), -6.0, 7.0)
    assert abs(found - root) < 1e-7


def test_without_a_change_of_sign_the_better_end_is_the_root():
    assert find_root(lambda t: t + 1.0, 0.0, 1.0) == 0.0
    assert find_root(lambda t: t - 3.0, 0.0, 1.0) == 1.0
