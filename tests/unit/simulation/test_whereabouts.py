# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.whereabouts import ERROR_AU, rough_positions


def off_au(times):
    exact = np.stack([ephemeris.states(body, times)[:, :3] for body in Body], axis=1)
    return np.linalg.norm(rough_positions(times) - exact, axis=2)


def test_rough_positions_are_within_their_error_all_over_the_kernel():
    low, high = (jd - J2000_TDB_JD for jd in ephemeris.span_tdb_jd())
    times = np.random.default_rng(3).uniform(low, high - 16.0, 3_000)
    assert off_au(times).max() < 6e-4


@pytest.mark.parametrize("end", [0, 1])
def test_at_the_ends_of_the_kernel_they_still_hold(end):
    edge = ephemeris.span_tdb_jd()[end] - J2000_TDB_JD
    times = edge + (1 - 2 * end) * np.linspace(0.0, 20.0, 50)
    assert off_au(times).max() < ERROR_AU
