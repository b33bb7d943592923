# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from gateway.neo.units import AU_KM
from gateway.simulation.bodies import Body
from gateway.simulation.clones import Watch, carry
from gateway.simulation.encounters import search
from gateway.simulation.nbody import Cancelled, Fidelity, Forces, Integrator
from gateway.simulation.steps import join
from tests.unit.simulation.made import START_D, beside, carried, ordinary_state

CLONES = 7


def clones_before_an_encounter(days):
    """Seven clones that pass Earth at 30,000 to 90,000 km at START_D, `days` before it, and when that is."""
    offsets = [(30_000 + 10_000 * number, 0, 0) for number in range(CLONES)]
    ends = [
        carried(beside(Body.EARTH, offset, (0, 8, 1)), START_D, START_D - days, Fidelity.FAST) for offset in offsets
    ]
    return np.array([state for state, _ in ends]), ends[0][1]


def alone(state, start_d, end_d, forces):
    """The steps of one clone integrated by itself."""
    integrator = Integrator(state, start_d, forces)
    parts = []
    while steps := integrator.advance(end_d, max_steps=100):
        parts.append(steps)
    return join(parts)


@pytest.mark.parametrize("days", [40.0, -40.0])
def test_each_clone_goes_as_it_would_alone(days):
    """Through an encounter; 23 m at its other side, 4 cm and 0.05 ms at the closest seen: only the steps differ."""
    forces = Forces(Fidelity.FAST, a2_au_d2=-5e-14)
    states, start_d = clones_before_an_encounter(days)
    end_d = start_d + 2 * days
    together = carry(states, start_d, end_d, forces=forces, watch=Watch(Body.EARTH, start_d, end_d))
    for number, state in enumerate(states):
        steps = alone(state, start_d, end_d, forces)
        off_km = np.linalg.norm(together.states[number, :3] - steps.states[-1, :3]) * AU_KM
        assert off_km < 0.04
        found = search(steps, {Body.EARTH: 0.1})
        nearest = min((a for a in found if a.body is Body.EARTH), key=lambda approach: approach.distance_km)
        assert together.closest.distance_km[number] == pytest.approx(nearest.distance_km, abs=1e-3)
        assert together.closest.time_d[number] == pytest.approx(nearest.time_d, abs=1e-3 / 86_400)


def test_a_single_clone_is_the_object_itself():
    """The same steps, so the same end to the last bit."""
    state = ordinary_state()
    together = carry(state[None], START_D, START_D + 900.0)
    assert (together.states[0] == alone(state, START_D, START_D + 900.0, Forces()).states[-1]).all()
    assert together.closest is None


def test_within_a_window_that_has_no_minimum_its_nearer_end_counts():
    states, start_d = clones_before_an_encounter(20.0)
    together = carry(states, start_d, START_D, watch=Watch(Body.EARTH, start_d + 5.0, start_d + 10.0))
    assert together.closest.time_d == pytest.approx(np.full(CLONES, start_d + 10.0), abs=1e-8)
    for number, state in enumerate(states):
        there, there_d = carried(state, start_d, start_d + 10.0, Fidelity.FAST)
        away_km = np.linalg.norm((there - beside(Body.EARTH, (0, 0, 0), (0, 0, 0), there_d))[:3]) * AU_KM
        assert together.closest.distance_km[number] == pytest.approx(away_km, abs=1e-3)


def test_of_two_passages_the_closer_one_counts():
    """A satellite on an ellipse passes ten perigees; a window of three of them finds the least of those three."""
    state = beside(Body.EARTH, (0, 150_000, 0), (1.2, 0, 0))
    forces = Forces()
    window = Watch(Body.EARTH, START_D + 4.0, START_D + 11.0)
    together = carry(np.array([state]), START_D, START_D + 15.0, forces=forces, watch=window)
    found = search(alone(state, START_D, START_D + 15.0, forces), {Body.EARTH: 0.1})
    inside = [a for a in found if a.body is Body.EARTH and window.from_d < a.time_d < window.to_d]
    assert len(inside) > 1
    assert together.closest.distance_km[0] == pytest.approx(min(a.distance_km for a in inside), abs=2e-3)


def test_progress_goes_from_start_to_end_and_cancelling_stops():
    reached = []
    carry(ordinary_state()[None], START_D, START_D - 200.0, moved=reached.append)
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] == pytest.approx(START_D - 200.0, abs=1e-8)
    steps = iter(range(100))
    with pytest.raises(Cancelled):
        carry(ordinary_state()[None], START_D, START_D + 5_000.0, cancelled=lambda: next(steps) > 5)
    assert next(steps) == 7


def test_a_window_beyond_the_whole_is_refused():
    with pytest.raises(ValueError, match="reaches beyond"):
        carry(ordinary_state()[None], START_D, START_D + 10.0, watch=Watch(Body.EARTH, START_D, START_D + 11.0))
