# SPDX-License-Identifier: GPL-3.0-or-later
"""What a swarm's lookout sees, against the search that follows one object."""

import numpy as np
import pytest

from gateway.neo.units import AU_KM
from gateway.simulation.bodies import Body
from gateway.simulation.encounters import search
from gateway.simulation.impact.passages import NOTHING, follow
from gateway.simulation.nbody import Cancelled, Fidelity, Forces, Integrator
from gateway.simulation.steps import join
from tests.unit.simulation.made import START_D, beside, carried, ordinary_state

FORCES = Forces()
REACH_AU = {Body.EARTH: 0.05, Body.MOON: 0.05}


def before_earth(shifts_km, days=30.0):
    """Clones `days` before they pass Earth: one that passes at 10,000 km, shifted by so much towards or from it."""
    state, start_d = carried(beside(Body.EARTH, (10_000, 0, 0), (0, 11, 2)), START_D, START_D - days, Fidelity.FAST)
    states = np.tile(state, (len(shifts_km), 1))
    states[:, 0] += np.array(shifts_km) / AU_KM
    return states, start_d


def alone(state, start_d, end_d):
    integrator = Integrator(state, start_d, FORCES)
    parts = []
    while steps := integrator.advance(end_d, max_steps=100):
        parts.append(steps)
    found = search(join(parts), REACH_AU)
    # What is nearest only after the surface of another body is crossed is not met any more.
    end_d = next((a.impact.time_d for a in found if a.impact), np.inf)
    return [a for a in found if a.impact or a.time_d < end_d]


def test_every_clone_meets_what_it_would_meet_alone():
    states, start_d = before_earth([190_000, 50_000, 0, -5_000, -9_000, -14_000, -40_000])
    flight = follow(states, start_d, START_D + 20.0, forces=FORCES, reach_au=REACH_AU)
    for clone, state in enumerate(states):
        expected = alone(state, start_d, START_D + 20.0)
        own = sorted((p for p in flight.passages if p.clone == clone), key=lambda p: p.time_d)
        assert [p.body for p in own] == [a.body for a in expected]
        for passage, approach in zip(own, expected, strict=True):
            met_d = approach.impact.time_d if approach.impact else approach.time_d
            assert passage.hit == (approach.impact is not None)
            assert passage.time_d == pytest.approx(met_d, abs=0.01 / 86_400)
            plane, reference = passage.hyperbola.plane, approach.hyperbola.plane
            assert (plane.xi_km, plane.zeta_km) == pytest.approx((reference.xi_km, reference.zeta_km), abs=0.05)
            if not passage.hit:
                assert passage.distance_km == pytest.approx(approach.distance_km, abs=0.05)
        last = expected[-1]
        assert flight.hit_body[clone] == (last.body if last.impact else NOTHING)


def test_the_first_body_hit_is_the_last():
    """Towards the Moon's middle, with a month to go: nothing is heard of it after the Moon."""
    state, start_d = carried(beside(Body.MOON, (1_800, 0, 0), (0, 9, 0)), START_D, START_D - 5.0, Fidelity.FAST)
    state[0] -= 1_500 / AU_KM
    flight = follow(state[None], start_d, START_D + 40.0, forces=FORCES, reach_au=REACH_AU)
    assert flight.hit_body.tolist() == [Body.MOON]
    assert flight.passages[-1].hit
    assert flight.passages[-1].body is Body.MOON
    assert flight.passages[-1].distance_km == pytest.approx(1_737.4, abs=1e-3)
    assert flight.hit_d[0] < START_D


def test_a_clone_that_begins_inside_a_body_has_hit_it():
    states = np.array([beside(Body.MARS, (1_000, 0, 0), (0, 5, 0)), ordinary_state()])
    flight = follow(states, START_D, START_D + 5.0, forces=FORCES, reach_au={})
    assert flight.hit_body.tolist() == [Body.MARS, NOTHING]
    assert flight.hit_d[0] == START_D


def test_when_all_have_hit_nothing_is_left_to_follow():
    states, start_d = before_earth([-14_000, -12_000, -11_000], days=3.0)
    reached = []
    flight = follow(states, start_d, START_D + 4_000.0, forces=FORCES, reach_au={}, moved=reached.append)
    assert (flight.hit_body == Body.EARTH).all()
    assert reached[-1] < START_D + 0.1


def test_clones_pushed_differently_part():
    state = ordinary_state()
    pushes = np.array([[0.0, 0.0, 0.0], [0.0, 1e-11, 0.0]])
    flight = follow(np.stack([state, state]), START_D, START_D + 400.0, forces=FORCES, pushes_au_d2=pushes, reach_au={})
    pushed, _ = _pushed_alone(state, 1e-11)
    assert np.linalg.norm(flight.states[1] - flight.states[0]) > 1e-7
    assert flight.states[1] == pytest.approx(pushed, abs=1e-12)


def _pushed_alone(state, a2_au_d2):
    integrator = Integrator(state, START_D, Forces(a2_au_d2=a2_au_d2))
    while integrator.advance(START_D + 400.0, max_steps=100):
        pass
    return integrator.state, integrator.time_d


def test_cancelling_stops_at_the_next_step():
    asked = iter(range(100))
    with pytest.raises(Cancelled):
        follow(
            ordinary_state()[None],
            START_D,
            START_D + 5_000.0,
            forces=FORCES,
            reach_au={},
            cancelled=lambda: next(asked) > 3,
        )
    assert next(asked) == 5
