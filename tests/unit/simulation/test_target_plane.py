# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.target_plane import hyperbola

EARTH = PROPERTIES[Body.EARTH]
GM, RADIUS = EARTH.gm_km3_s2, EARTH.mean_radius_km


def far_out(xi, zeta, v_infinity, distance):
    """A state on the incoming asymptote along +x, Earth moving along +y: xi along -z... as the definition gives it."""
    eta = np.array([1.0, 0.0, 0.0])
    motion = np.array([5.0, 30.0, 0.0])
    zeta_axis = -(motion - motion @ eta * eta)
    zeta_axis /= np.linalg.norm(zeta_axis)
    xi_axis = np.cross(eta, zeta_axis)
    position = -distance * eta + xi * xi_axis + zeta * zeta_axis
    speed = np.sqrt(v_infinity**2 + 2 * GM / np.linalg.norm(position))
    return position, speed * eta, motion


@given(
    xi=st.floats(-2e5, 2e5),
    zeta=st.floats(-2e5, 2e5),
    v_infinity=st.floats(5.0, 40.0),
)
def test_b_plane_of_an_asymptote_is_where_it_points(xi, zeta, v_infinity):
    """Set up 1e10 km out, where the asymptote and the path differ by less than 0.1 km in direction and place."""
    if np.hypot(xi, zeta) < 1.0:
        xi = 1.0
    found = hyperbola(*far_out(xi, zeta, v_infinity, 1e10), GM, RADIUS)
    assert found.v_infinity_km_s == pytest.approx(v_infinity, rel=1e-9)
    # Gravity from infinity to 1e10 km bends what is set up as straight by GM / (v^2 d) of the impact parameter's scale.
    assert found.plane.xi_km == pytest.approx(xi, abs=1e-4 * np.hypot(xi, zeta) + 0.1)
    assert found.plane.zeta_km == pytest.approx(zeta, abs=1e-4 * np.hypot(xi, zeta) + 0.1)
    assert found.plane.impact_parameter_km == pytest.approx(np.hypot(xi, zeta), rel=1e-4)


@pytest.mark.parametrize("v_infinity", [3.0, 12.0, 30.0])
def test_a_grazing_hit_comes_in_at_the_capture_radius(v_infinity):
    speed = np.sqrt(v_infinity**2 + 2 * GM / RADIUS)
    found = hyperbola(np.array([RADIUS, 0, 0]), np.array([0, speed, 0]), np.array([1.0, 2.0, 30.0]), GM, RADIUS)
    assert found.plane.impact_parameter_km == pytest.approx(found.plane.capture_radius_km, rel=1e-12)
    assert np.hypot(found.plane.xi_km, found.plane.zeta_km) == pytest.approx(found.plane.impact_parameter_km)


def test_the_turn_is_that_of_the_two_asymptotes():
    """Sin(turn / 2) = 1 / e; e = 1 + r v_inf^2 / GM at the pericentre."""
    v_infinity, pericentre = 6.0, 40_000.0
    speed = np.sqrt(v_infinity**2 + 2 * GM / pericentre)
    found = hyperbola(np.array([0, pericentre, 0]), np.array([speed, 0, 0]), np.array([0, 30.0, 1.0]), GM, RADIUS)
    expected = np.degrees(2 * np.arcsin(1 / (1 + pericentre * v_infinity**2 / GM)))
    assert found.turn_deg == pytest.approx(expected, rel=1e-12)


def test_late_is_positive_zeta():
    """An object that crosses ahead of the planet has passed early: it lies on the side the planet moves to."""
    motion = np.array([0.0, 30.0, 0.0])
    ahead = hyperbola(np.array([0.0, 1e5, 0.0]), np.array([10.0, 0.0, 0.0]), motion, GM, RADIUS)
    behind = hyperbola(np.array([0.0, -1e5, 0.0]), np.array([10.0, 0.0, 0.0]), motion, GM, RADIUS)
    assert ahead.plane.zeta_km < 0 < behind.plane.zeta_km


@pytest.mark.parametrize(
    ("position", "velocity"),
    [
        ((42_164.0, 0, 0), (0, 3.07, 0)),  # geostationary: bound
        ((1e5, 0, 0), (-20.0, 0, 0)),  # straight down: no plane of motion
    ],
)
def test_no_hyperbola_where_there_is_none(position, velocity):
    assert hyperbola(np.array(position), np.array(velocity), np.array([0.0, 30.0, 0.0]), GM, RADIUS) is None


def test_the_sun_has_no_motion_to_measure_by():
    found = hyperbola(np.array([1e8, 0, 0]), np.array([0, 80.0, 0]), np.zeros(3), PROPERTIES[Body.SUN].gm_km3_s2, 7e5)
    assert found.v_infinity_km_s > 0
    assert found.plane is None
