# SPDX-License-Identifier: GPL-3.0-or-later
"""Against Kepler's equation for ellipses and hyperbolas, Barker's for the parabola, and the closed form of a fall."""

import numpy as np
import pytest

from gateway.simulation.two_body import TwoBody

GM = 398_600.435507


def motion_at(pericentre_km, eccentricity, true_anomaly_deg):
    """The motion at a true anomaly, from its state in the orbital plane."""
    anomaly = np.radians(true_anomaly_deg)
    parameter = pericentre_km * (1.0 + eccentricity)
    distance = parameter / (1.0 + eccentricity * np.cos(anomaly))
    position = distance * np.array([np.cos(anomaly), np.sin(anomaly), 0.0])
    velocity = np.sqrt(GM / parameter) * np.array([-np.sin(anomaly), eccentricity + np.cos(anomaly), 0.0])
    return TwoBody.of(position, velocity, GM)


def seconds_since_pericentre(pericentre_km, eccentricity, true_anomaly_deg):
    half = np.tan(np.radians(true_anomaly_deg) / 2.0)
    if eccentricity == 1.0:
        return np.sqrt(2.0 * pericentre_km**3 / GM) * (half + half**3 / 3.0)
    rate = np.sqrt(GM * abs(1.0 - eccentricity) ** 3 / pericentre_km**3)
    scaled = np.sqrt(abs(1.0 - eccentricity) / (1.0 + eccentricity)) * half
    if eccentricity < 1.0:
        anomaly = 2.0 * np.arctan(scaled)
        return (anomaly - eccentricity * np.sin(anomaly)) / rate
    anomaly = 2.0 * np.arctanh(scaled)
    return (eccentricity * np.sinh(anomaly) - anomaly) / rate


@pytest.mark.parametrize("pericentre_km", [0.5, 100.0, 5_000.0])
@pytest.mark.parametrize(("eccentricity", "anomaly_deg"), [(0.3, -120.0), (0.97, -150.0), (1.0, -140.0), (5.0, -95.0)])
def test_the_pericentre_is_keplers(pericentre_km, eccentricity, anomaly_deg):
    motion = motion_at(pericentre_km, eccentricity, anomaly_deg)
    assert motion.pericentre_km == pytest.approx(pericentre_km, rel=1e-9)
    speed = np.sqrt(GM * (1.0 + eccentricity) / pericentre_km)
    assert motion.pericentre_speed_km_s == pytest.approx(speed, rel=1e-9)
    expected_s = -seconds_since_pericentre(pericentre_km, eccentricity, anomaly_deg)
    assert motion.until_pericentre_s() == pytest.approx(expected_s, rel=1e-8)
    # And down to a distance on the way: the difference of two such times.
    lower_deg = 0.8 * anomaly_deg
    lower = motion_at(pericentre_km, eccentricity, lower_deg)
    until = expected_s + seconds_since_pericentre(pericentre_km, eccentricity, lower_deg)
    assert motion.until_s(lower.distance_km) == pytest.approx(until, rel=1e-7)
    assert lower.until_pericentre_s() > 0.0


def test_a_straight_fall_from_rest_takes_the_time_of_half_a_degenerate_ellipse():
    """From rest at r the centre is pi sqrt(r^3 / (8 GM)) away; at an apocentre the quadrature is good to 2 %."""
    down = TwoBody.of(np.array([10_000.0, 0, 0]), np.array([-1e-9, 0, 0]), GM)
    assert down.until_pericentre_s() == pytest.approx(np.pi * np.sqrt(1e12 / (8.0 * GM)), rel=2e-2)
    assert down.pericentre_km == 0.0
    assert down.pericentre_speed_km_s is None


def test_what_recedes_or_passes_by_reaches_no_surface():
    assert motion_at(7_000.0, 1.5, 60.0).until_s(6_371.0) is None
    assert motion_at(7_000.0, 1.5, -60.0).until_s(6_371.0) is None
    assert motion_at(6_000.0, 1.5, 60.0).until_s(6_371.0) is None
    assert motion_at(6_000.0, 1.5, 60.0).until_pericentre_s() < 0.0
    assert motion_at(6_000.0, 1.5, -60.0).until_s(6_371.0) > 0.0
