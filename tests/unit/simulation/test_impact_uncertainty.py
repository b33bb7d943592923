# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from gateway.neo.elements import to_states
from gateway.neo.frames import ecliptic_to_icrf
from gateway.neo.orbits import Orbits
from gateway.neo.units import AU_KM, J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.branch import barycentric
from gateway.simulation.impact.uncertainty import (
    CARTESIAN,
    Cloud,
    NotACovariance,
    cartesian_values,
    nominal_values,
    spread_of,
)

EPOCH_D = 9_000.0
BY_AXIS = (
    "semi_major_axis_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
    "mean_anomaly_deg",
)
BY_PERIHELION = ("perihelion_distance_au", *BY_AXIS[1:5], "perihelion_time_tdb_jd")


def an_orbit(**changes):
    elements = {
        "semi_major_axis_au": 1.4,
        "eccentricity": 0.41,
        "inclination_deg": 8.0,
        "longitude_of_ascending_node_deg": 300.0,
        "argument_of_perihelion_deg": 244.0,
        "mean_anomaly_deg": 332.0,
    }
    return Orbits.from_mean_anomaly(**(elements | changes), epoch_tdb_jd=EPOCH_D + J2000_TDB_JD)


def a_cloud(orbit, labels=BY_AXIS, spread=None, pushes=(0.0, 0.0, 0.0)):
    nominal = nominal_values(labels, orbit, np.array(pushes))
    return Cloud(EPOCH_D, labels, nominal, np.eye(len(labels)) if spread is None else spread, np.array(pushes))


@pytest.mark.parametrize("labels", [BY_AXIS, BY_PERIHELION])
def test_the_middle_of_a_cloud_is_the_nominal_orbit(labels):
    orbit = an_orbit()
    members = a_cloud(orbit, labels).members(np.zeros((2, 6)))
    expected = barycentric(to_states(orbit)[0], EPOCH_D)
    # A Julian date resolves 40 us: a metre.
    assert np.linalg.norm((members.states - expected)[:, :3], axis=1).max() * AU_KM < 0.002
    assert members.sound.all()


def test_members_are_orbits_of_their_own_and_not_of_a_linear_map():
    """A hundredth of the semi-major axis and a radian of phase: to_states says where that is."""
    spread = np.diag([0.014, 0.01, 0.1, 1.0, 1.0, 57.3])
    z = np.array([[1.0, -1.0, 0.5, 0.2, -0.3, 1.0]])
    values = dict(zip(BY_AXIS, [1.414, 0.40, 8.05, 300.2, 243.7, 389.3], strict=True))
    expected = barycentric(to_states(an_orbit(**values))[0], EPOCH_D)
    member = a_cloud(an_orbit(), spread=spread).members(z).states[0]
    assert np.linalg.norm((member - expected)[:3]) * AU_KM < 0.002


def test_hyperbolas_have_clouds_too():
    orbit = Orbits(0.25, 1.2, 122.0, 24.0, 241.0, EPOCH_D + J2000_TDB_JD + 40.0, EPOCH_D + J2000_TDB_JD)
    for labels in (BY_PERIHELION, BY_AXIS):
        member = a_cloud(orbit, labels).members(np.zeros((1, 6))).states[0]
        expected = barycentric(to_states(orbit)[0], EPOCH_D)
        assert np.linalg.norm((member - expected)[:3]) * AU_KM < 0.01


def test_beyond_the_pole_an_inclination_comes_back_on_the_other_side():
    spread = np.diag([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])[:, 2:3]
    orbit = an_orbit(inclination_deg=0.5)
    beyond = a_cloud(orbit, spread=spread).members(np.array([[-1.0]])).states[0]
    turned = an_orbit(inclination_deg=0.5, longitude_of_ascending_node_deg=120.0, argument_of_perihelion_deg=64.0)
    assert np.linalg.norm((beyond - barycentric(to_states(turned)[0], EPOCH_D))[:3]) * AU_KM < 0.002


def test_what_is_no_orbit_is_marked():
    """A sigma of 1 au in the semi-major axis: some members have a perihelion inside out, a < 0 or e < 0."""
    spread = np.diag([1.0, 0.5, 0.0, 0.0, 0.0, 0.0])[:, :2]
    z = np.array([[0.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -1.0], [1e300, 0.0]])
    members = a_cloud(an_orbit(), spread=spread).members(z)
    assert members.sound.tolist() == [True, False, False, False, False]
    assert np.isfinite(members.states).all()
    nothing = a_cloud(an_orbit(), spread=spread).members(z[1:])
    assert not nothing.sound.any()
    assert np.isfinite(nothing.states).all()


@pytest.mark.parametrize("icrf", [True, False])
@pytest.mark.parametrize("from_barycentre", [True, False])
def test_cartesian_clouds_in_every_frame(icrf, from_barycentre):
    state = to_states(an_orbit())[0]
    nominal = cartesian_values(state, epoch_d=EPOCH_D, icrf=icrf, barycentric=from_barycentre)
    cloud = Cloud(EPOCH_D, CARTESIAN, nominal, np.eye(6), np.zeros(3), icrf=icrf, barycentric=from_barycentre)
    sun = ephemeris.states(Body.SUN, np.array([EPOCH_D]))[0]
    step = np.eye(6)[0]
    expected = ecliptic_to_icrf(state) + sun + (step if icrf else ecliptic_to_icrf(step))
    assert cloud.members(step[None]).states[0] == pytest.approx(expected, abs=1e-14)


def test_pushes_are_parameters_or_constants():
    labels = (*BY_AXIS, "a2_au_d2")
    spread = np.zeros((7, 1))
    spread[6] = 1e-14
    cloud = a_cloud(an_orbit(), labels, spread, pushes=(1e-12, -3e-14, 0.0))
    pushes = cloud.members(np.array([[0.0], [2.0]])).pushes_au_d2
    assert pushes == pytest.approx(np.array([[1e-12, -3e-14, 0.0], [1e-12, -1e-14, 0.0]]), abs=1e-25)


def test_correlations_of_one_but_a_billionth_keep_their_digits():
    """Sigmas from 1e-10 to 1e3 whose difference is known a thousand million times better than either."""
    correlation = 1.0 - 1e-9
    sigmas = np.array([1e-10, 1e3])
    covariance = np.outer(sigmas, sigmas) * np.array([[1.0, correlation], [correlation, 1.0]])
    spread = spread_of(covariance)
    assert spread.shape == (2, 2)
    scaled = spread / sigmas[:, None]
    difference = scaled[0] - scaled[1]
    assert difference @ difference == pytest.approx(2e-9, rel=1e-6)
    assert spread @ spread.T == pytest.approx(covariance, rel=1e-12)


def test_a_singular_covariance_has_fewer_directions():
    direction = np.array([1e-9, 2e-8, 3e-5, 0.0, 1e-4, 5e-4])
    spread = spread_of(np.outer(direction, direction))
    assert spread.shape == (6, 1)
    assert np.abs(spread[:, 0]) == pytest.approx(direction, rel=1e-12)
    assert spread_of(np.zeros((6, 6))).shape == (6, 0)


@pytest.mark.parametrize(
    ("covariance", "why"),
    [
        (((1.0, 0.5), (0.4, 1.0)), "not symmetric"),
        (((1.0, 1.1), (1.1, 1.0)), "not positive semidefinite"),
        (((-1.0, 0.0), (0.0, 1.0)), "row 0 is negative"),
        (((0.0, 0.1), (0.1, 1.0)), "without variance"),
    ],
)
def test_what_is_no_covariance_is_refused(covariance, why):
    with pytest.raises(NotACovariance, match=why):
        spread_of(np.array(covariance))
