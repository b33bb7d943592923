# SPDX-License-Identifier: GPL-3.0-or-later
"""Real encounters against JPL, CNEOS and ESA.

The published tolerances of the cases hold with 16 perturbing asteroids. Their kernel (`make asteroid-kernel`) need not
be there; without it positions are off by up to 18 km after 7 years, 12.8 km in 2024 YR4's encounter and 60 km in the
year after Apophis' of 2029. Each test runs with the kernel, where it asserts the published tolerances, and without,
where it asserts what is reachable and says where that differs.
"""

import numpy as np
import pytest

from gateway.neo.elements import to_states
from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.orbits import Orbits
from gateway.neo.units import AU_KM, DAY_S, J2000_TDB_JD, MJD_ORIGIN_JD
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Fidelity, Forces
from gateway.simulation.scenario import Branch, Push, PushAxes, Scenario
from gateway.simulation.simulate import simulate

CAD_2020 = ("cad2020-2020HC6", "cad2020-2011ES4", "cad2020-388945")
YEAR_D = 365.25
# TDB - UTC in 2024: 37 leap seconds + 32.184 s (IERS Bulletin C 66); TDB - TT stays below 2 ms.
TDB_MINUS_UTC_2024_S = 69.184


def start_of(given):
    """Epoch and heliocentric ecliptic state of a case."""
    epoch_tdb_jd = given["epoch_tdb_jd"] if "epoch_tdb_jd" in given else given["epoch_tdb_mjd"] + MJD_ORIGIN_JD
    if given["kind"] == "cartesian":
        return epoch_tdb_jd, icrf_to_ecliptic(given["pos_au"] + given["vel_au_d"])
    orbit = Orbits.from_mean_anomaly(
        semi_major_axis_au=given["a_au"],
        eccentricity=given["e"],
        inclination_deg=given["i_deg"],
        longitude_of_ascending_node_deg=given["node_deg"],
        argument_of_perihelion_deg=given["peri_deg"],
        mean_anomaly_deg=given["M_deg"],
        epoch_tdb_jd=epoch_tdb_jd,
    )
    return epoch_tdb_jd, to_states(orbit)[0]


def outcome_of(case, days, fidelity, pushes=(), kernel=None, **options):
    given = case["input"]
    epoch_tdb_jd, state = start_of(given)
    pushed = (given.get(name, 0.0) for name in ("A1_au_d2", "A2_au_d2", "A3_au_d2"))
    question = Scenario(
        epoch_d=epoch_tdb_jd - J2000_TDB_JD,
        baseline_state=state,
        changed_state=state if pushes else None,
        pushes=tuple(pushes),
        duration_d=days,
        forces=Forces(fidelity, *pushed, asteroid_kernel=kernel),
        limits_au=dict.fromkeys(Body, 0.1),
        **options,
    )
    return simulate(question, lambda _: None)


def encounter(outcome, body, near_tdb_jd, branch=Branch.BASELINE):
    found = [approach for approach in outcome.branches[branch].approaches if approach.body is body]
    return min(found, key=lambda approach: abs(approach.time_d + J2000_TDB_JD - near_tdb_jd))


def seconds_off(approach, expected_tdb_jd):
    return (approach.time_d + J2000_TDB_JD - expected_tdb_jd) * DAY_S


@pytest.mark.parametrize("fidelity", Fidelity)
@pytest.mark.parametrize("name", CAD_2020)
def test_encounters_of_2020_against_cneos(cases, kernel, name, fidelity):
    """The published tolerances, asteroids or not: the elements are from weeks around the encounter."""
    case, expected = cases[name], cases[name]["expect"]
    days = 1.2 * (expected["jd_tdb"] - case["input"]["epoch_tdb_jd"])
    outcome = outcome_of(case, days, fidelity, kernel=kernel)
    found = encounter(outcome, Body.EARTH, expected["jd_tdb"])
    assert abs(seconds_off(found, expected["jd_tdb"])) < expected["tol_s"]
    assert abs(found.distance_km - expected["dist_km"]) < expected["tol_km"]
    assert abs(found.relative_velocity_km_s - expected["v_rel_km_s"]) < expected["tol_v"]
    assert abs(found.hyperbola.v_infinity_km_s - expected["v_inf_km_s"]) < expected["tol_v"]
    assert abs(outcome.earth_moid_au[Branch.BASELINE] - expected["moid_au"]) < expected["tol_moid"]


@pytest.mark.parametrize("fidelity", Fidelity)
def test_apophis_2029_from_esas_orbit_of_2025(cases, kernel, fidelity):
    """CNEOS' distance within 5 km and time within 5 s, as published; 1.1 km and 0.06 s seen (1.2, 0.08 without)."""
    case = cases["apophis-2029-esa-from-2025"]
    expected = case["expect"]
    found = encounter(outcome_of(case, 4 * YEAR_D, fidelity, kernel=kernel), Body.EARTH, expected["jd_tdb"])
    assert abs(seconds_off(found, expected["jd_tdb"])) < expected["tol_s"]
    assert abs(found.distance_km - expected["dist_km"]) < expected["tol_km"]
    assert abs(found.relative_velocity_km_s - expected["v_rel_km_s"]) < expected["tol_v"]


@pytest.mark.parametrize(
    ("fidelity", "published", "without_km"),
    [
        # Without the asteroids, which do 60 km (decision 6): as published for FAST, 5 km more than that for the others.
        (Fidelity.FAST, "tol_km_fast", 150.0),
        (Fidelity.PRECISE, "tol_km_precise", 65.0),
        (Fidelity.AUDIT, "tol_km_precise", 65.0),
    ],
)
def test_apophis_a_year_after_2029_against_jpls_integration(cases, kernel, fidelity, published, without_km):
    """Published: 5 km (150 km for FAST), with asteroids."""
    case = cases["apophis-jpl-state-after-2029"]
    within_km = case["expect"][published] if kernel else without_km
    days = 2462503.0372426095 - case["input"]["epoch_tdb_jd"]
    final = outcome_of(case, days, fidelity, kernel=kernel).branches[Branch.BASELINE].final_state
    expected = icrf_to_ecliptic(case["expect"]["pos_au_helio_eq"])
    assert np.linalg.norm(final[:3] - expected) * AU_KM < within_km


def test_step_controls_agree_after_the_deepest_encounter(cases):
    """PRECISE and AUDIT differ by their steps alone: within 20 m a year after 38,000 km from Earth.

    Half of the clock's last bit is 0.07 mm of Earth's motion; the encounter makes 1.4 km of 5 mm (decision 6).
    """
    case = cases["apophis-jpl-state-after-2029"]
    ends = [
        outcome_of(case, 364.5, fidelity).branches[Branch.BASELINE].final_state
        for fidelity in (Fidelity.PRECISE, Fidelity.AUDIT)
    ]
    assert np.linalg.norm((ends[0] - ends[1])[:3]) * AU_KM < 0.02


@pytest.mark.parametrize("fidelity", Fidelity)
def test_2024_yr4_passes_the_moon_in_2032(cases, kernel, fidelity):
    """15,085 km +- 60, as published; 0.1 km seen with asteroids, 14 km without."""
    case = cases["2024YR4-moon-ip"]
    expected = case["expect"]
    found = encounter(outcome_of(case, 2650.0, fidelity, kernel=kernel), Body.MOON, 2_463_589.1)
    assert abs(found.distance_km - expected["nominal_moon_km"]) < (1.0 if kernel else expected["tol_km"])
    assert found.impact is None


def test_2024_bx1_hits_earth(cases):
    """Seen to enter at 100 km at 00:32:38 UTC, 15.2 km/s, 75.6 deg steep (Spurny et al. 2024, A&A 686, A67).

    Our surface is the mean radius, 6 km above the ellipsoid at 52.6 deg north: 94 km lower, 6.4 s later if nothing
    slowed it down, for which there is no atmosphere here.
    """
    case = cases["2024BX1-real-impact"]
    expected = case["expect"]
    outcome = outcome_of(case, 1.0, Fidelity.PRECISE)
    found = outcome.branches[Branch.BASELINE].approaches[-1]
    assert found.body is Body.EARTH
    seen_at_100_km_tdb_jd = 2460330.5 + (32 * 60 + 38 + TDB_MINUS_UTC_2024_S) / DAY_S
    later_s = 94.0 / (expected["speed_km_s"] * np.sin(np.radians(75.6)))
    crossed_s = (found.impact.time_d + J2000_TDB_JD - seen_at_100_km_tdb_jd) * DAY_S
    assert abs(crossed_s - later_s) < expected["tol_s"]
    assert abs(found.impact.relative_velocity_km_s - expected["speed_km_s"]) < expected["tol_v"]
    assert outcome.branches[Branch.BASELINE].final_state is None


@pytest.mark.parametrize("fidelity", Fidelity)
def test_apophis_through_2029_and_back(cases, fidelity):
    """The same 0.07 mm on the way back, and 3.4 years instead of one for what the encounter makes of them: 70 m.

    Thrice that, for both ways and the steps in the encounter.
    """
    case = cases["apophis-2029-esa-from-2025"]
    outcome = outcome_of(case, 1500.0, fidelity, check_round_trip=True)
    assert outcome.branches[Branch.BASELINE].round_trip_error_km < 0.2


@pytest.mark.parametrize("sign", [1, -1])
def test_a_millimetre_a_second_along_the_motion_in_2027_delays_apophis(cases, sign):
    """Faster along the motion is a longer year and a later arrival: 3 t dv, 190 km in two years, seen as zeta."""
    case = cases["apophis-2029-esa-from-2025"]
    near = case["expect"]["jd_tdb"]
    pushed_d = near - 2 * YEAR_D - J2000_TDB_JD
    push = Push(pushed_d, (0.0, sign * 1e-6, 0.0), PushAxes.RADIAL_TRANSVERSE_NORMAL)
    outcome = outcome_of(case, 4 * YEAR_D, Fidelity.PRECISE, [push])
    before, after = (encounter(outcome, Body.EARTH, near, branch) for branch in Branch)
    late_km = after.hyperbola.plane.zeta_km - before.hyperbola.plane.zeta_km
    assert sign * late_km > 0
    assert 90.0 < abs(late_km) < 3 * 2 * YEAR_D * DAY_S * 1e-6
    assert sign * (after.distance_km - before.distance_km) > 90.0
    assert sign * (after.time_d - before.time_d) > 0
