# SPDX-License-Identifier: GPL-3.0-or-later
"""A swarm's own forces against ASSIST's, to the last bit, and what being calm costs."""

import ctypes

import numpy as np
import pytest

from gateway.neo.units import AU_KM
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Fidelity, Forces, Swarm
from gateway.simulation.nbody.flight import Flight
from gateway.simulation.settings import KernelSettings
from tests.unit.simulation.made import START_D, beside, carried, ordinary_state

KERNEL = KernelSettings().asteroid_kernel


def scattered(count, state=None):
    """(N, 6) some thousand kilometres apart."""
    random = np.random.default_rng(count)
    states = np.tile(ordinary_state() if state is None else state, (count, 1))
    states[:, :3] += random.normal(size=(count, 3)) * 5_000 / AU_KM
    return states


def by_assist(states, start_d, end_d, forces, pushes=None):
    """Their states at the end with ASSIST's forces, and how many steps that took."""
    flight, count = Flight(states, start_d, forces, pushes), 0
    flight._head_for(end_d)
    while abs(end_d - flight.time_d) > 1e-9:
        flight._step(end_d)
        count += 1
    return flight._places.copy(), count


def by_swarm(states, start_d, end_d, forces, pushes=None, calm=False):
    swarm, count = Swarm(states, start_d, forces, pushes), 0
    swarm.be_calm(calm)
    while swarm.step(end_d):
        count += 1
    return swarm.states, count


@pytest.mark.parametrize(
    "kernel", [pytest.param(None, id="planets"), pytest.param(KERNEL, id="asteroids", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("count", [1, 3, 64, 65, 130])
def test_the_forces_are_those_of_assist_to_the_last_bit(count, kernel):
    if kernel is not None and not kernel.exists():
        pytest.skip(f"no asteroid kernel at {kernel}")
    forces = Forces(asteroid_kernel=kernel)
    states = scattered(count)
    for end_d in (START_D + 300.0, START_D - 300.0):
        expected, steps = by_assist(states, START_D, end_d, forces)
        found, taken = by_swarm(states, START_D, end_d, forces)
        assert np.array_equal(found, expected)
        assert taken == steps


def test_they_are_through_an_encounter_with_pushes_too():
    """Where Earth's oblateness tells and everyone is pushed differently: both of them ASSIST's own to compute."""
    state, start_d = carried(beside(Body.EARTH, (30_000, 0, 0), (0, 8, 1)), START_D, START_D - 20.0, Fidelity.FAST)
    states = scattered(5, state)
    pushes = np.random.default_rng(1).normal(size=(5, 3)) * 1e-11
    expected, _ = by_assist(states, start_d, START_D + 20.0, Forces(), pushes)
    found, _ = by_swarm(states, start_d, START_D + 20.0, Forces(), pushes)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("fidelity", [Fidelity.PRECISE, Fidelity.AUDIT])
def test_relativity_of_all_bodies_stays_with_assist(fidelity):
    states = scattered(3)
    expected, _ = by_assist(states, START_D, START_D + 100.0, Forces(fidelity))
    found, _ = by_swarm(states, START_D, START_D + 100.0, Forces(fidelity), calm=True)
    # The same terms, added up in another order.
    assert found == pytest.approx(expected, abs=1e-14)


def test_what_cannot_be_looked_up_is_left_to_assist(monkeypatch):
    """Whoever fails there says why; here it does not fail, and computes everything."""
    states = scattered(2)
    expected, _ = by_assist(states, START_D, START_D + 50.0, Forces())
    nowhere = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)
    monkeypatch.setattr("assist.clibassist.assist_all_ephem", nowhere)
    found, _ = by_swarm(states, START_D, START_D + 50.0, Forces())
    # The same terms, added up in another order.
    assert found == pytest.approx(expected, abs=1e-14)


def test_calm_steps_are_fewer_and_lead_to_the_same_place():
    states = scattered(10)
    expected, steps = by_swarm(states, START_D, START_D + 3_652.5, Forces())
    found, taken = by_swarm(states, START_D, START_D + 3_652.5, Forces(), calm=True)
    assert taken < 0.8 * steps
    assert np.abs(found - expected)[:, :3].max() * AU_KM < 0.01
