# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs halted at every step, several at a time in one process as in a worker: results to the last bit."""

import pickle
import threading
import time
from functools import partial

import numpy as np
import pytest

from gateway.simulation.bodies import Body
from gateway.simulation.impact.blocks import fly_block
from gateway.simulation.impact.first_look import first_look
from gateway.simulation.impact.proposals import whole_cloud
from gateway.simulation.nbody import Cancelled, Fidelity, Forces
from gateway.simulation.scenario import ProgressReport
from gateway.simulation.simulate import simulate
from gateway.simulation.sliced_job import Done, Failed, Halted, SlicedJob, Stopped
from tests.unit.simulation.made import START_D, beside, ordinary_state, scenario
from tests.virtual_impactors import question


def spin(seconds, emit, cancelled):
    """A job that asks for the processor so long."""
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:
        if cancelled():
            raise Cancelled
    return seconds


def jobs():
    """Single objects at each fidelity, through an encounter and without, and a swarm."""
    asked = question((9_000.0, 0.0, 0.0), 3_000.0, days=30.0)
    look = first_look(asked, lambda _: None, lambda: False)
    passing = beside(Body.EARTH, (0, 40_000, 0), (10.0, 0, 0), START_D)
    return [
        partial(simulate, scenario(passing, START_D, -300.0, forces=Forces(Fidelity.AUDIT), check_round_trip=True)),
        partial(simulate, scenario(ordinary_state(), START_D, 700.0, trajectory_points=500)),
        partial(simulate, scenario(passing, START_D, 300.0, forces=Forces(Fidelity.FAST))),
        partial(fly_block, asked, look.cloud, whole_cloud(look.cloud.dimensions), 0, 50),
    ]


def run_together(work, slice_s):
    """Slices in turns until all are done: (results and updates, how often each was halted)."""
    updates = [[] for _ in work]
    sliced = [SlicedJob(job, kept.append, lambda: False) for job, kept in zip(work, updates, strict=True)]
    results, halts = {}, dict.fromkeys(range(len(work)), 0)
    while len(results) < len(work):
        for number, job in enumerate(sliced):
            if number in results:
                continue
            end = job.run(slice_s)
            if isinstance(end, Halted):
                halts[number] += 1
            else:
                assert isinstance(end, Done)
                results[number] = end.result
    brought = [
        (results[number], [update for update in kept if not isinstance(update, ProgressReport) and update != []])
        for number, kept in enumerate(updates)
    ]
    return brought, halts


def bits(brought, *, swarm):
    """All numbers, as bytes; how far a swarm was is told by the clock."""
    result, updates = brought
    return pickle.dumps(result) if swarm else pickle.dumps((result, updates))


def test_jobs_cut_at_every_step_bring_what_uncut_ones_bring_to_the_bit():
    work = jobs()
    uncut, never = run_together(work, np.inf)
    cut, halts = run_together(work, 0.0)
    assert set(never.values()) == {0}
    assert min(halts.values()) > 20
    for number, (one, other) in enumerate(zip(uncut, cut, strict=True)):
        assert bits(one, swarm=number == 3) == bits(other, swarm=number == 3)


def test_a_slice_ends_by_the_processor_time_it_took():
    job = SlicedJob(partial(spin, 0.2), lambda _: None, lambda: False)
    costs_s = []
    while isinstance(end := job.run(0.03), Halted):
        costs_s.append(end.cost_s)
    assert isinstance(end, Done)
    # A clock of threads may tick in steps of 10 ms.
    assert all(0.03 <= cost_s < 0.06 for cost_s in costs_s)
    assert sum(costs_s) + end.cost_s == pytest.approx(0.2, abs=0.05)


def test_a_halted_job_that_is_dropped_ends_its_thread():
    before = threading.active_count()
    job = SlicedJob(partial(spin, 60.0), lambda _: None, lambda: False)
    assert isinstance(job.run(0.0), Halted)
    assert threading.active_count() == before + 1
    job.drop()
    assert threading.active_count() == before


def test_a_job_that_is_cancelled_stops_in_its_slice():
    job = SlicedJob(partial(spin, 60.0), lambda _: None, lambda: True)
    assert isinstance(job.run(0.0), Stopped)


def test_an_unforeseen_error_is_the_jobs_own(capfd):
    def broken(emit, cancelled):
        raise KeyError("nobody foresaw this")

    assert isinstance(SlicedJob(broken, lambda _: None, lambda: False).run(1.0), Failed)
    assert "nobody foresaw this" in capfd.readouterr().err
