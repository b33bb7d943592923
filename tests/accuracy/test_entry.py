# SPDX-License-Identifier: GPL-3.0-or-later
"""A real entry: 2024 BX1, seen by the European Fireball Network west of Berlin (Spurny et al. 2024, A&A 686, A67)."""

from datetime import UTC, datetime

import pytest

from gateway.neo.elements import to_states
from gateway.neo.orbits import Orbits
from gateway.neo.units import DAY_S, J2000_TDB_JD, MJD_ORIGIN_JD
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Fidelity, Forces
from gateway.simulation.scenario import Branch, Scenario
from gateway.simulation.simulate import simulate

# TDB - UTC in 2024: 37 leap seconds + 32.184 s (IERS Bulletin C 66); TDB - TT stays below 2 ms.
TDB_MINUS_UTC_2024_S = 69.184
# To the horizon, as observed.
OBSERVED_SLOPE_DEG = 75.6


@pytest.fixture
def case(cases):
    return cases["2024BX1-real-impact"]


def entries_of(case, days=1.0):
    given = case["input"]
    orbit = Orbits.from_mean_anomaly(
        semi_major_axis_au=given["a_au"],
        eccentricity=given["e"],
        inclination_deg=given["i_deg"],
        longitude_of_ascending_node_deg=given["node_deg"],
        argument_of_perihelion_deg=given["peri_deg"],
        mean_anomaly_deg=given["M_deg"],
        epoch_tdb_jd=given["epoch_tdb_mjd"] + MJD_ORIGIN_JD,
    )
    question = Scenario(
        epoch_d=given["epoch_tdb_mjd"] + MJD_ORIGIN_JD - J2000_TDB_JD,
        baseline_state=to_states(orbit)[0],
        changed_state=None,
        pushes=(),
        duration_d=days,
        forces=Forces(Fidelity.PRECISE),
        limits_au=dict.fromkeys(Body, 0.1),
    )
    return simulate(question, lambda _: None).branches[Branch.BASELINE].entries


def test_2024_bx1_enters_where_and_when_it_was_seen(case):
    """Time, speed and slope as observed; the place is that of the case's own measurement, 0.15 deg wide.

    0.03 s, 0.004 km/s in the air and 0.006 deg of slope seen: an orbit from before the fall against the fall itself.
    """
    expected = case["expect"]
    *before, entry = entries_of(case)
    assert not any(before)
    seen = datetime.fromisoformat(expected["time_utc"]).replace(tzinfo=UTC)
    seconds = (seen - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds()
    assert abs(entry.time_d * DAY_S - TDB_MINUS_UTC_2024_S - seconds) < expected["tol_s"]
    assert abs(entry.latitude_deg - expected["lat_deg"]) < expected["tol_deg"]
    assert abs(entry.longitude_deg - expected["lon_deg"]) < expected["tol_deg"]
    assert abs(entry.speed_in_atmosphere_km_s - expected["speed_km_s"]) < 0.02
    assert abs(entry.speed_km_s - expected["speed_km_s"]) < expected["tol_v"]
    assert abs(-entry.flight_path_angle_deg - OBSERVED_SLOPE_DEG) < 0.1
    assert entry.utc_known
