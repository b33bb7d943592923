# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones that step apart: as exact as together, and cheaper where their own steps differ."""

import numpy as np
import pytest

from gateway.neo.elements import to_states
from gateway.neo.orbits import Orbits
from gateway.neo.units import AU_KM, J2000_TDB_JD
from gateway.simulation.branch import barycentric
from gateway.simulation.impact import step_groups
from gateway.simulation.impact.step_groups import StepGroups
from gateway.simulation.nbody import Forces, Swarm
from tests.unit.simulation.made import START_D

DAYS = 700.0


def eccentric(count):
    """(N, 6) clones on an orbit of e = .9, all around it."""
    orbits = Orbits.from_mean_anomaly(
        semi_major_axis_au=np.full(count, 2.4),
        eccentricity=np.full(count, 0.9),
        inclination_deg=np.full(count, 9.5),
        longitude_of_ascending_node_deg=np.full(count, 306.0),
        argument_of_perihelion_deg=np.full(count, 224.0),
        mean_anomaly_deg=np.linspace(0.0, 360.0, count, endpoint=False),
        epoch_tdb_jd=np.full(count, START_D + J2000_TDB_JD),
    )
    return np.array([barycentric(state, START_D) for state in to_states(orbits)])


def carried(states):
    """The groups at the end, the clones in all steps, and the sizes of the groups."""
    groups = StepGroups(states, START_D, Forces(), None)
    sizes = [len(taken.clones) for taken in groups.steps(START_D + DAYS)]
    return groups, sum(sizes), set(sizes)


def test_clones_all_around_an_eccentric_orbit_step_apart_and_arrive_where_they_would_alone():
    states = eccentric(100)
    groups, clone_steps, sizes = carried(states)
    assert groups.times == pytest.approx(START_D + DAYS, abs=1e-8)
    together, steps = Swarm(states, START_D, Forces()), 0
    while together.step(START_D + DAYS):
        steps += 1
    assert len(sizes) > 1
    assert clone_steps < 0.5 * 100 * steps
    for clone in (0, 1, 50, 99):
        alone = Swarm(states[clone : clone + 1], START_D, Forces())
        while alone.step(START_D + DAYS):
            pass
        assert np.abs(groups.states[clone] - alone.states[0])[:3].max() * AU_KM < 0.05


def test_clones_close_together_stay_one_group_and_take_the_swarms_own_steps():
    states = np.tile(eccentric(1), (50, 1))
    states[:, :3] += np.random.default_rng(1).normal(size=(50, 3)) * 100 / AU_KM
    groups, _, sizes = carried(states)
    swarm = Swarm(states, START_D, Forces())
    while swarm.step(START_D + DAYS):
        pass
    assert sizes == {50}
    assert np.array_equal(groups.states, swarm.states)


def test_the_cut_is_the_cheapest():
    own_d = np.array([1.0, 10.0, 1.0, 9.0] * 100)
    parts = step_groups._cheapest(np.arange(400), own_d)
    assert [sorted(set(own_d[part])) for part in parts] == [[1.0], [9.0, 10.0]]
    assert len(step_groups._cheapest(np.arange(4), own_d)) == 1


def test_whoever_is_taken_out_is_not_followed_and_the_others_are():
    groups = StepGroups(eccentric(30), START_D, Forces(), None)
    for taken in groups.steps(START_D + 100.0):
        if taken.step.end_d > START_D + 20.0:
            groups.flying[:10] = False
    assert (groups.times[:10] < START_D + 100.0).all()
    assert groups.times[10:] == pytest.approx(START_D + 100.0, abs=1e-8)
