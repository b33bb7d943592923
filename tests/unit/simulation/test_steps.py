# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from gateway.neo.units import AU_KM
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Cancelled, Fidelity, Forces, Integrator
from gateway.simulation.steps import join
from tests.unit.simulation.made import START_D, beside, carried, ordinary_state


def steps_of(state, until_d, start_d=START_D, fidelity=Fidelity.PRECISE):
    return Integrator(state, start_d, Forces(fidelity)).advance(until_d, max_steps=10_000)


@pytest.mark.parametrize("fidelity", Fidelity)
@pytest.mark.parametrize("days", [30.0, -30.0])
def test_dense_output_equals_integrating_to_the_same_instant(fidelity, days):
    """Through an encounter 40,000 km from Earth, within 1 m anywhere in any step."""
    start, start_d = carried(beside(Body.EARTH, (40_000, 0, 0), (0, 7, 1)), START_D, START_D - days / 2, fidelity)
    steps = steps_of(start, start_d + days, start_d, fidelity)
    assert len(steps) > 20
    for index in range(len(steps)):
        begin, end = steps.time_d[index], steps.time_d[index + 1]
        for fraction in (0.2, 0.5, 0.9):
            at = begin + fraction * (end - begin)
            reached, _ = carried(steps.states[index], begin, at, fidelity)
            off_km = np.linalg.norm(steps.at(np.array([at]))[0, :3] - reached[:3]) * AU_KM
            assert off_km < 1e-3


def test_samples_keep_the_knots_to_the_bit():
    steps = steps_of(ordinary_state(), START_D + 100.0)
    times, states = steps.sampled(8)
    assert len(times) == 8 * len(steps) + 1
    assert (times[::8] == steps.time_d).all()
    assert (states[::8] == steps.states).all()
    assert (np.diff(times) > 0).all()


def test_joined_steps_answer_as_their_parts():
    integrator = Integrator(ordinary_state(), START_D, Forces())
    parts = [integrator.advance(START_D - 60.0, max_steps=4) for _ in range(3)]
    whole = join(parts)
    assert whole.direction == -1.0
    assert len(whole) == sum(len(part) for part in parts)
    times, states = parts[1].sampled(5)
    np.testing.assert_allclose(whole.at(times), states, rtol=0, atol=1e-15)


@pytest.mark.parametrize("until_d", [START_D + 1.25, START_D - 1.25, START_D + 2000.0])
def test_the_last_step_ends_where_it_should(until_d):
    steps = steps_of(ordinary_state(), until_d)
    assert abs(steps.time_d[-1] - until_d) < 1e-9


def test_an_object_that_is_there_already_takes_no_step():
    integrator = Integrator(ordinary_state(), START_D, Forces())
    assert integrator.advance(START_D, max_steps=1) is None


def test_a_cancelled_integration_stops_before_its_next_step():
    asked = []

    def cancelled():
        asked.append(None)
        return len(asked) > 3

    integrator = Integrator(ordinary_state(), START_D, Forces())
    with pytest.raises(Cancelled):
        integrator.advance(START_D + 1000.0, max_steps=1000, cancelled=cancelled)
    assert len(asked) == 4


def test_integrators_side_by_side_do_not_share_a_clock():
    """Each sets its own reference epoch on its own copy of the ephemeris."""
    alone = steps_of(ordinary_state(), START_D + 700.0)
    first = Integrator(ordinary_state(), START_D, Forces(Fidelity.PRECISE))
    other = Integrator(ordinary_state(), START_D - 20_000.0, Forces(Fidelity.PRECISE))
    parts = []
    while (part := first.advance(START_D + 700.0, max_steps=3)) is not None:
        parts.append(part)
        other.advance(START_D - 19_000.0, max_steps=3)
    assert (join(parts).states[-1] == alone.states[-1]).all()


@pytest.mark.parametrize("days", [300.0, -300.0])
def test_a_new_clock_forgets_the_bodies_states_of_the_old_one(days):
    """ASSIST gives up its earliest state (backwards: its latest): one of the old clock would never be that."""
    integrator = Integrator(ordinary_state(), START_D, Forces(Fidelity.PRECISE))
    integrator.advance(START_D + days, max_steps=1000)
    kept = integrator._cached_times.reshape(-1, 7)
    now = integrator._simulation.t
    assert abs(now) < 256
    assert (np.abs(kept[:, :] - now) < 60).all(axis=1).any()
    assert ((np.abs(kept - now) < 60) | (np.abs(kept) == 1e306)).all()
    # Seven different times a body: a cache with one place would have six of them empty or old.
    assert all(len(set(times)) == 7 for times in kept[:11])


def test_non_gravitational_acceleration_pushes_along_the_motion():
    """A2 of 1e-10 au/d^2 over 100 d near 1.2 au changes the place by about half a t^2, forwards."""
    free = steps_of(ordinary_state(), START_D + 20.0).states[-1]
    pushed = Integrator(ordinary_state(), START_D, Forces(Fidelity.PRECISE, a2_au_d2=1e-10))
    pushed.advance(START_D + 20.0, max_steps=1000)
    moved = pushed.state[:3] - free[:3]
    expected = 0.5 * 1e-10 / 1.24**2 * 20.0**2
    assert moved @ free[3:] > 0
    assert np.linalg.norm(moved) == pytest.approx(expected, rel=0.1)


def test_a_missing_asteroid_kernel_is_refused(tmp_path, capfd):
    with pytest.raises(FileNotFoundError, match="asteroid kernel"):
        Integrator(ordinary_state(), START_D, Forces(asteroid_kernel=tmp_path / "none.bsp"))
    capfd.readouterr()
