# SPDX-License-Identifier: GPL-3.0-or-later
"""States of orbits, checked against closed forms and invariants."""

import numpy as np
import pytest

from gateway.neo import (
    ColumnShapeError,
    InvalidOrbitError,
    Orbits,
    ecliptic_to_icrf,
    from_states,
    icrf_to_ecliptic,
    to_states,
)
from gateway.neo.elements import positions_at_true_anomaly_au, true_anomaly_deg
from gateway.neo.units import GM_SUN_AU3_D2

EPOCH_TDB_JD = 2451545.0


def orbit(q, e, inclination=0.0, node=0.0, argument=0.0, since_perihelion_d=0.0):
    return Orbits(q, e, inclination, node, argument, EPOCH_TDB_JD - since_perihelion_d, EPOCH_TDB_JD)


@pytest.mark.parametrize("e", [0.0, 0.5, 0.999, 1.0, 1.0000001, 3.0])
def test_perihelion_state_is_the_closed_form(e):
    speed = np.sqrt(GM_SUN_AU3_D2 * (1.0 + e) / 0.7)
    assert to_states(orbit(0.7, e))[0] == pytest.approx([0.7, 0.0, 0.0, 0.0, speed, 0.0], abs=1e-16)


def test_angles_turn_the_orbit_the_textbook_way():
    # Perihelion 90 deg past a node at longitude 30 deg on a plane tilted by 40 deg.
    position = to_states(orbit(1.0, 0.1, inclination=40.0, node=30.0, argument=90.0))[0, :3]
    tilt, node = np.radians([40.0, 30.0])
    expected = [-np.sin(node) * np.cos(tilt), np.cos(node) * np.cos(tilt), np.sin(tilt)]
    assert position == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("true_anomaly", [-170.0, -90.0, -1e-3, 10.0, 120.0, 179.0])
def test_parabola_obeys_barkers_equation(true_anomaly):
    q = 0.3
    tangent = np.tan(np.radians(true_anomaly) / 2.0)
    since_d = np.sqrt(2.0 * q**3 / GM_SUN_AU3_D2) * (tangent + tangent**3 / 3.0)
    comet = orbit(q, 1.0, since_perihelion_d=since_d)
    # A Julian date resolves 5e-10 d; the comet turns by at most 0.9 rad/d at perihelion.
    assert true_anomaly_deg(comet)[0] == pytest.approx(true_anomaly, abs=3e-8)


@pytest.mark.parametrize("e", [0.0, 0.2, 0.9, 0.99999])
@pytest.mark.parametrize("eccentric_anomaly", [-3.1, -1.0, 0.3, 2.5, 3.14])
def test_ellipse_obeys_keplers_equation(e, eccentric_anomaly):
    a = 1.7
    q = a * (1.0 - e)
    since_d = (eccentric_anomaly - e * np.sin(eccentric_anomaly)) / np.sqrt(GM_SUN_AU3_D2 / a**3)
    position = to_states(orbit(q, e, since_perihelion_d=since_d))[0, :2]
    a = q / (1.0 - e)  # as e in float64 has it
    expected = [a * (np.cos(eccentric_anomaly) - e), a * np.sqrt(1.0 - e * e) * np.sin(eccentric_anomaly)]
    assert position == pytest.approx(expected, abs=1e-8 if e > 0.99 else 1e-10)


@pytest.mark.parametrize("hyperbolic_anomaly", [-8.0, -1.0, 1e-4, 2.0, 12.0])
def test_hyperbola_obeys_keplers_equation(hyperbolic_anomaly):
    q, e = 0.4, 1.3
    a = q / (e - 1.0)
    since_d = (e * np.sinh(hyperbolic_anomaly) - hyperbolic_anomaly) / np.sqrt(GM_SUN_AU3_D2 / a**3)
    position = to_states(orbit(q, e, since_perihelion_d=since_d))[0, :2]
    expected = [a * (e - np.cosh(hyperbolic_anomaly)), a * np.sqrt(e * e - 1.0) * np.sinh(hyperbolic_anomaly)]
    assert position == pytest.approx(expected, rel=1e-9, abs=1e-10)


def test_near_parabola_is_smooth_through_one():
    since_d = 400.0
    states = [to_states(orbit(0.1, e, since_perihelion_d=since_d))[0] for e in (1.0 - 1e-12, 1.0, 1.0 + 1e-12)]
    assert states[0] == pytest.approx(states[1], abs=1e-8)
    assert states[1] - states[0] == pytest.approx(states[2] - states[1], abs=1e-13)


def test_motion_over_years_keeps_energy_and_momentum_and_matches_its_own_rate():
    orbits = orbit(0.9, 0.4, 20.0, 50.0, 70.0, 10.0)
    times = EPOCH_TDB_JD + np.linspace(-4000.0, 4000.0, 50)
    many = Orbits.concatenate([orbits] * 50)
    states = to_states(many, times)
    energy = 0.5 * np.sum(states[:, 3:] ** 2, axis=1) - GM_SUN_AU3_D2 / np.linalg.norm(states[:, :3], axis=1)
    assert energy == pytest.approx(-GM_SUN_AU3_D2 / 2.0 / 1.5, rel=1e-12)
    rate = (to_states(many, times + 0.25)[:, :3] - to_states(many, times - 0.25)[:, :3]) / 0.5
    assert rate == pytest.approx(states[:, 3:], abs=1e-6)


def test_one_time_for_all_orbits():
    two = Orbits.concatenate([orbit(0.9, 0.4), orbit(1.2, 1.4)])
    later = to_states(two, EPOCH_TDB_JD + 100.0)
    assert later == pytest.approx(to_states(two, [EPOCH_TDB_JD + 100.0] * 2), abs=0.0)


def test_a_circle_in_the_ecliptic_has_defined_angles():
    speed = np.sqrt(GM_SUN_AU3_D2)
    circle = from_states([[0.0, 1.0, 0.0, -speed, 0.0, 0.0]], EPOCH_TDB_JD)
    assert circle.eccentricity[0] < 1e-15
    assert circle.inclination_deg[0] == 0.0
    assert circle.longitude_of_ascending_node_deg[0] == 0.0
    assert to_states(circle)[0] == pytest.approx([0.0, 1.0, 0.0, -speed, 0.0, 0.0], abs=1e-10)


def test_retrograde_in_the_ecliptic():
    speed = np.sqrt(GM_SUN_AU3_D2 * 1.3)
    states = [[1.0, 0.0, 0.0, 0.0, -speed, 0.0]]
    orbits = from_states(states, EPOCH_TDB_JD)
    assert orbits.inclination_deg[0] == 180.0
    assert to_states(orbits) == pytest.approx(np.array(states), abs=1e-11)


@pytest.mark.parametrize(
    "state",
    [
        [0.0] * 6,
        [1.0, 0.0, 0.0, 0.01, 0.0, 0.0],
        [np.nan, 1.0, 0.0, 0.01, 0.0, 0.0],
        [1.0, 0.0, 0.0, 0.0, np.inf, 0.0],
        [1e308, 1e308, 0.0, 0.0, 0.01, 0.0],
        [1.0, 0.0, 0.0, 0.0, -1e308, 0.0],
        [5e-324, 0.0, 0.0, 0.0, 0.01, 0.0],
    ],
)
def test_refuses_states_without_an_orbit(state):
    good = [1.0, 0.0, 0.0, 0.0, 0.017, 0.0]
    with pytest.raises(InvalidOrbitError) as refused:
        from_states([good, state], EPOCH_TDB_JD)
    assert [(v.column, v.row) for v in refused.value.violations] == [("states", 1)]


def test_refuses_other_shapes():
    with pytest.raises(ColumnShapeError):
        from_states([1.0] * 6, EPOCH_TDB_JD)
    with pytest.raises(ColumnShapeError):
        from_states([[1.0] * 6], [EPOCH_TDB_JD] * 2)
    with pytest.raises(ColumnShapeError):
        ecliptic_to_icrf([1.0, 2.0])


def test_frames_are_one_turn_about_x_by_the_obliquity():
    assert ecliptic_to_icrf([1.0, 0.0, 0.0]) == pytest.approx([1.0, 0.0, 0.0], abs=0.0)
    # cos and sin of 84381.448 arcsec (Explanatory Supplement 1992: 0.917482062, 0.397777156).
    assert ecliptic_to_icrf([0.0, 1.0, 0.0]) == pytest.approx([0.0, 0.917482062, 0.397777156], abs=1e-9)
    state = np.arange(12.0).reshape(2, 6)
    assert icrf_to_ecliptic(ecliptic_to_icrf(state)) == pytest.approx(state, abs=1e-14)
    assert ecliptic_to_icrf(state)[:, 3:] == pytest.approx(ecliptic_to_icrf(state[:, 3:]), abs=0.0)


def test_points_by_true_anomaly_lie_on_the_orbit():
    comet = orbit(0.5, 1.2, 30.0, 40.0, 50.0, since_perihelion_d=200.0)
    assert positions_at_true_anomaly_au(comet, true_anomaly_deg(comet)) == pytest.approx(
        to_states(comet)[:, :3], abs=1e-12
    )
    with pytest.raises(InvalidOrbitError):
        positions_at_true_anomaly_au(comet, 150.0)  # the asymptote is at 146.4 deg
