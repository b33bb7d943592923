# SPDX-License-Identifier: GPL-3.0-or-later
"""Orbit to state and back loses no more than float64 must."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.neo import Orbits, from_states, to_states
from gateway.neo.elements import positions_at_true_anomaly_au, true_anomaly_deg
from tests.property.neo_strategies import EPOCH_TDB_JD, orbits

EPS = np.finfo(float).eps


def unavoidable_au(orbit: Orbits, states: np.ndarray) -> float:
    """What the last bits of the time of perihelion and of e are worth in position."""
    q, e = orbit.perihelion_distance_au[0], orbit.eccentricity[0]
    radius, speed = np.linalg.norm(states[0, :3]), np.linalg.norm(states[0, 3:])
    time_bits_d = EPS * max(abs(orbit.perihelion_time_tdb_jd[0]), EPOCH_TDB_JD)
    # An ellipse's own phase drifts with its mean motion, whose relative error is that of 1 - e.
    turns = abs(orbit.perihelion_time_tdb_jd[0] - EPOCH_TDB_JD) * speed
    shape = min(radius / q, 1.0 / max(abs(1.0 - e), EPS))
    return time_bits_d * speed + EPS * (radius + turns) * (1.0 + shape)


@given(orbits())
def test_states_come_back(orbit):
    states = to_states(orbit)
    again = from_states(states, orbit.epoch_tdb_jd)
    error_au = np.linalg.norm(to_states(again)[0, :3] - states[0, :3])
    assert error_au <= 30.0 * unavoidable_au(orbit, states)
    q = orbit.perihelion_distance_au[0]
    radius_in_q = np.linalg.norm(states[0, :3]) / q
    assert abs(again.eccentricity[0] - orbit.eccentricity[0]) <= 1e-15 * (1.0 + orbit.eccentricity[0]) * (
        10.0 + radius_in_q
    )
    assert abs(again.perihelion_distance_au[0] / q - 1.0) <= 1e-14 * (1.0 + radius_in_q)


@given(orbits(), st.floats(-5000.0, 5000.0))
def test_two_body_motion_runs_back_to_where_it_began(orbit, days):
    there = from_states(to_states(orbit, EPOCH_TDB_JD + days), EPOCH_TDB_JD + days)
    away = to_states(orbit, EPOCH_TDB_JD + days)
    back = to_states(there, EPOCH_TDB_JD)
    states = to_states(orbit)
    speed = np.linalg.norm(states[0, 3:])
    slack = unavoidable_au(orbit, states) + unavoidable_au(orbit, away)
    # The period carries the error of the semi-major axis along: 1.5 of it for each day of the way.
    bits = EPS * (1.0 + 1.0 / max(abs(1.0 - orbit.eccentricity[0]), 1e-3))
    slack += speed * abs(days) * bits * (1.0 + np.linalg.norm(away[0, :3]) / orbit.perihelion_distance_au[0])
    assert np.linalg.norm(back[0, :3] - states[0, :3]) <= 30.0 * slack


@given(orbits())
def test_true_anomaly_names_the_same_point(orbit):
    states = to_states(orbit)
    point = positions_at_true_anomaly_au(orbit, true_anomaly_deg(orbit))
    radius = np.linalg.norm(states[0, :3])
    # A last bit of the angle moves a far point of a long orbit by r^2 / p.
    slack = EPS * radius * (1.0 + 4.0 * radius / orbit.perihelion_distance_au[0])
    assert np.linalg.norm(point - states[0, :3]) <= 10.0 * slack
