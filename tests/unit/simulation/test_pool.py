# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import contextlib
import os
import signal

import pytest

from gateway.serving.errors import BackendUnavailable, DeadlineExceeded, Overloaded
from gateway.simulation.bodies import Body
from gateway.simulation.pool import WorkerPool
from gateway.simulation.scenario import Branch, Outcome, ProgressReport
from tests.unit.simulation.made import START_D, beside, ordinary_state, scenario

PATIENCE_S = 60.0


def short():
    return scenario(ordinary_state(), START_D, 100.0)


def endless():
    """A satellite's 100 years: hours of work."""
    return scenario(beside(Body.EARTH, (0, 7000, 0), (7.5, 0, 0)), START_D, 36_525.0, limits_au={Body.VENUS: 0.1})


async def until(predicate):
    async with asyncio.timeout(PATIENCE_S):
        while not predicate():
            await asyncio.sleep(0.01)


async def outcome_of(pool, question):
    async with contextlib.aclosing(pool.run(question)) as messages:
        return [message async for message in messages][-1]


async def first_of(messages):
    async for message in messages:
        return message
    return None


@pytest.fixture
async def pool():
    async with WorkerPool(workers=1, max_waiting=1, retry_after_s=2.5) as started:
        await until(lambda: started.ready)
        yield started


async def test_a_scenario_brings_its_outcome_last(pool):
    outcome = await outcome_of(pool, short())
    assert isinstance(outcome, Outcome)
    assert outcome.branches[Branch.BASELINE].final_state is not None
    await until(lambda: pool.idle == 1)


async def test_leaving_early_frees_the_worker(pool):
    pids = pool.pids
    async with contextlib.aclosing(pool.run(endless())) as messages:
        assert isinstance(await first_of(messages), ProgressReport)
        assert pool.idle == 0
    await until(lambda: pool.idle == 1)
    # It heard, and did not have to be killed.
    assert pool.pids == pids
    assert isinstance(await outcome_of(pool, short()), Outcome)


async def test_a_cancelled_caller_frees_the_worker(pool):
    pids = pool.pids
    task = asyncio.create_task(outcome_of(pool, endless()))
    await until(lambda: pool.idle == 0)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: pool.idle == 1)
    assert pool.pids == pids
    assert isinstance(await outcome_of(pool, short()), Outcome)


async def test_a_worker_that_dies_fails_its_scenario_and_is_replaced(pool):
    (pid,) = pool.pids
    running = asyncio.create_task(outcome_of(pool, endless()))
    await until(lambda: pool.idle == 0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BackendUnavailable, match="simulation worker"):
        await running
    assert isinstance(await outcome_of(pool, short()), Outcome)
    assert pool.pids != [pid]


async def test_a_worker_that_dies_idle_is_replaced(pool):
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not pool.ready)
    pool.heal()
    await until(lambda: pool.ready)
    assert pool.pids != [pid]
    assert isinstance(await outcome_of(pool, short()), Outcome)


async def test_a_worker_that_does_not_answer_any_more_is_replaced(pool):
    (pid,) = pool.pids
    async with contextlib.aclosing(pool.run(endless())) as messages:
        await first_of(messages)
        os.kill(pid, signal.SIGSTOP)
    assert isinstance(await outcome_of(pool, short()), Outcome)
    assert pool.pids != [pid]


async def test_beyond_the_line_callers_are_refused(pool):
    async with contextlib.aclosing(pool.run(endless())) as busy:
        await first_of(busy)
        waiting = asyncio.create_task(outcome_of(pool, short()))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await outcome_of(pool, short())
        assert caught.value.retry_after_s == 2.5
    assert isinstance(await waiting, Outcome)


async def test_no_scenario_runs_for_ever():
    async with WorkerPool(workers=1, max_waiting=0, max_run_s=0.3) as pool:
        await until(lambda: pool.idle == 1)
        with pytest.raises(DeadlineExceeded):
            await outcome_of(pool, endless())
        await until(lambda: pool.idle == 1)


async def test_closing_ends_every_process(pool):
    async with WorkerPool(workers=2, max_waiting=0) as other:
        await until(lambda: other.idle == 2)
        pids = other.pids
        async with contextlib.aclosing(other.run(endless())) as messages:
            await first_of(messages)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_workers_that_cannot_start_leave_the_pool_unready(tmp_path, capfd):
    """They are tried again until the pool is closed."""
    async with WorkerPool(workers=1, max_waiting=0, asteroid_kernel=tmp_path / "none.bsp") as pool:
        await asyncio.sleep(2.0)
        assert not pool.ready
    assert "none.bsp" in capfd.readouterr().err
