# SPDX-License-Identifier: GPL-3.0-or-later
import assist
import numpy as np
import pytest
from jplephem.exceptions import OutOfRangeError

from gateway.neo.earth_orbit import earth_heliocentric_states
from gateway.neo.units import AU_KM, DAY_S, GM_SUN_AU3_D2, J2000_TDB_JD
from gateway.serving.bounds import EPHEMERIS_SPAN_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body, Planet
from orrery.inference import v1

TIMES_D = np.array([-160_000.0, -3.25, 0.0, 10_000.125, 237_000.0])


@pytest.fixture(scope="module")
def assist_ephemeris():
    return assist.Ephem(str(ephemeris.PLANET_KERNEL))


@pytest.mark.parametrize("body", Body)
def test_states_and_masses_are_those_that_the_integrator_uses(body, assist_ephemeris):
    ours = ephemeris.states(body, TIMES_D)
    for row, time_d in enumerate(TIMES_D):
        theirs = assist_ephemeris.get_particle(body.name, float(time_d))
        np.testing.assert_allclose(ours[row, :3], theirs.xyz, rtol=0, atol=1e-13)
        np.testing.assert_allclose(ours[row, 3:], theirs.vxyz, rtol=0, atol=1e-14)
        assert theirs.m * AU_KM**3 / DAY_S**2 == pytest.approx(PROPERTIES[body].gm_km3_s2, rel=1e-9)


def test_many_at_once_are_the_same_as_one_by_one():
    together = ephemeris.states_of_many(Body, TIMES_D)
    for body in Body:
        assert (together[body] == ephemeris.states(body, TIMES_D)).all()


def test_bodies_stay_within_their_reach():
    times = np.arange(-164_000.0, 237_000.0, 7.3)
    for body in Body:
        distance_au = np.linalg.norm(ephemeris.states(body, times)[:, :3], axis=1)
        low, high = PROPERTIES[body].reach_au
        assert low <= distance_au.min()
        assert distance_au.max() <= high


def test_span_is_what_the_contract_promises():
    assert ephemeris.span_tdb_jd() == EPHEMERIS_SPAN_TDB_JD
    with pytest.raises(OutOfRangeError):
        ephemeris.states(Body.EARTH, np.array([EPHEMERIS_SPAN_TDB_JD[1] + 100.0 - J2000_TDB_JD]))


def test_numbers_are_those_of_the_contract():
    assert {f"BODY_{body.name}": int(body) for body in Body} == dict(v1.Body.items()[1:])
    assert {f"PLANET_{planet.name}": int(planet) for planet in Planet} == dict(v1.Planet.items()[1:])


def test_earth_agrees_with_the_small_table():
    epochs = np.array([2_420_000.5, 2_451_545.0, 2_461_000.5])
    ours = ephemeris.heliocentric_ecliptic_states(Body.EARTH, epochs - J2000_TDB_JD)
    np.testing.assert_allclose(ours[:, :3], earth_heliocentric_states(epochs)[:, :3], rtol=0, atol=1e-8)


@pytest.mark.parametrize("planet", Planet)
def test_planets_orbits_are_theirs(planet):
    orbits = ephemeris.planet_orbits(planet, np.array([2_451_545.0, 2_461_000.5]))
    semi_major_axes_au = (0.387, 0.723, 1.0, 1.524, 5.203, 9.54, 19.2, 30.1)
    assert orbits.semi_major_axis_au == pytest.approx(semi_major_axes_au[planet - 1], rel=0.01)


def test_the_suns_gm_is_one():
    assert PROPERTIES[Body.SUN].gm_km3_s2 == pytest.approx(GM_SUN_AU3_D2 * AU_KM**3 / DAY_S**2, rel=1e-12)
