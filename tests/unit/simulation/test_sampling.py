# SPDX-License-Identifier: GPL-3.0-or-later
import itertools

import numpy as np
import pytest

from gateway.neo.units import AU_KM
from gateway.simulation import ephemeris, sampling
from gateway.simulation.bodies import Body
from gateway.simulation.branch import barycentric, heliocentric
from gateway.simulation.nbody import Fidelity, Forces, Integrator
from gateway.simulation.sampling import AdaptiveSampler
from gateway.simulation.scenario import Branch, Push, PushAxes, Sampling, TrajectoryPiece
from tests.unit.simulation.made import START_D, asked, beside, carried, ordinary_state, scenario


def trajectory(updates, side=Branch.BASELINE):
    pieces = [u for u in updates if isinstance(u, TrajectoryPiece) and u.branch is side]
    return np.concatenate([p.time_d for p in pieces]), np.concatenate([p.positions_au for p in pieces]), pieces


def passing(days):
    return carried(beside(Body.EARTH, (40_000, 0, 0), (0, 7, 1)), START_D, START_D - days / 2)


@pytest.mark.parametrize("days", [900.0, -900.0])
@pytest.mark.parametrize("count", [2, 50, 3000])
def test_adaptive_points_are_as_many_as_asked_with_both_ends(days, count):
    start, start_d = passing(days)
    options = {"trajectory_points": count, "sampling": Sampling.ADAPTIVE}
    pushes = (Push(start_d + 0.9 * days, (0.0, 0.5, 0.0), PushAxes.ECLIPTIC),)
    outcome, updates = asked(scenario(start, start_d, days, pushes=pushes, **options))
    for side in (Branch.BASELINE, Branch.CHANGED):
        times, positions, pieces = trajectory(updates, side)
        assert len(times) == count
        assert (np.diff(times) * np.sign(days) > 0).all()
        assert max(len(piece.time_d) for piece in pieces) <= 1000
        assert times[0] == start_d
        assert abs(times[-1] - start_d - days) < 2e-9
        np.testing.assert_allclose(positions[0], heliocentric(start, start_d)[:3], atol=1e-14)
        np.testing.assert_allclose(positions[-1], outcome.branches[side].final_state[:3], atol=1e-11)


def test_adaptive_points_move_by_an_even_fraction_of_the_nearest_distance():
    start, start_d = passing(900.0)
    adaptive = {"trajectory_points": 400, "sampling": Sampling.ADAPTIVE}
    _, updates = asked(scenario(start, start_d, 900.0, **adaptive))
    times, _, _ = trajectory(updates)
    # The measure, by a fine integration of its own along the way.
    steps = Integrator(start, start_d, Forces(Fidelity.PRECISE)).advance(start_d + 900.0, max_steps=10_000)
    fine = np.unique(np.concatenate([np.linspace(a, b, 200) for a, b in itertools.pairwise(times)]))
    rate = sampling.inverse_time_scale_per_d(steps.at(fine), fine)
    s = np.concatenate(([0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(fine))))
    gained = np.diff(np.interp(times, fine, s))
    assert gained.max() < 1.3 * gained.min()
    near_days = np.abs(times - START_D) < 1.0
    assert near_days.sum() > 20
    assert np.diff(times).min() * 86_400 < 3600.0


def test_adaptive_points_lie_on_the_way():
    start, start_d = passing(60.0)
    _, updates = asked(scenario(start, start_d, 60.0, trajectory_points=40, sampling=Sampling.ADAPTIVE))
    times, positions, _ = trajectory(updates)
    for index in (10, 20, 30):
        reached, reached_d = carried(start, start_d, float(times[index]))
        np.testing.assert_allclose(positions[index], heliocentric(reached, reached_d)[:3], atol=1.0 / AU_KM)


def test_an_adaptive_trajectory_ends_at_an_impact():
    start, start_d = carried(beside(Body.EARTH, (0, 0, 6371.1), (8, 0, -13)), START_D, START_D - 10)
    outcome, updates = asked(scenario(start, start_d, 20.0, trajectory_points=101, sampling=Sampling.ADAPTIVE))
    times, positions, _ = trajectory(updates)
    hit = outcome.branches[Branch.BASELINE].approaches[-1].impact
    assert times[-1] == hit.time_d
    earth = ephemeris.heliocentric_ecliptic_states(Body.EARTH, times[-1:])[0, :3]
    assert np.linalg.norm(positions[-1] - earth) * AU_KM == pytest.approx(6371.0084, abs=0.01)


def test_no_more_candidates_are_held_than_eight_a_point():
    sampler = AdaptiveSampler(10)
    integrator = Integrator(ordinary_state(), START_D, Forces())
    sampler.start(integrator.state, START_D)
    while steps := integrator.advance(START_D + 4000.0, max_steps=3):
        sampler.add(steps, float(steps.time_d[-1]))
        assert len(sampler._times) <= 80
    assert len(sampler._times) >= 30
    times, states = sampler.finish()
    assert len(times) == 10
    np.testing.assert_allclose(states[-1], integrator.state, atol=1e-15)


def test_nothing_asked_brings_nothing_and_no_time_brings_the_start():
    _, updates = asked(scenario(ordinary_state(), START_D, 10.0, sampling=Sampling.ADAPTIVE))
    assert not [u for u in updates if isinstance(u, TrajectoryPiece)]
    options = {"trajectory_points": 9, "sampling": Sampling.ADAPTIVE}
    question = scenario(ordinary_state(), START_D, 1e-12, **options)
    _, updates = asked(question)
    times, positions, _ = trajectory(updates)
    assert times.tolist() == [START_D]
    expected = barycentric(np.concatenate((positions[0], question.baseline_state[3:])), START_D)
    np.testing.assert_allclose(expected, ordinary_state(), atol=1e-14)
