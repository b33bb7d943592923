# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import contextlib
import os
import signal
import time
from functools import partial

import pytest

from gateway.serving.errors import BackendUnavailable, DeadlineExceeded, Overloaded
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import Cancelled
from gateway.simulation.pool import WorkerPool
from gateway.simulation.scenario import Branch, Outcome, ProgressReport
from gateway.simulation.simulate import simulate
from tests.unit.simulation.made import START_D, beside, ordinary_state, scenario

PATIENCE_S = 60.0


def short():
    return partial(simulate, scenario(ordinary_state(), START_D, 100.0))


def endless():
    """A satellite's 100 years: hours of work."""
    start = beside(Body.EARTH, (0, 7000, 0), (7.5, 0, 0))
    return partial(simulate, scenario(start, START_D, 36_525.0, limits_au={Body.VENUS: 0.1}))


async def until(predicate):
    async with asyncio.timeout(PATIENCE_S):
        while not predicate():
            await asyncio.sleep(0.01)


async def outcome_of(pool, question, **asker):
    async with contextlib.aclosing(pool.run(question, **asker)) as messages:
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


async def test_callers_without_a_place_are_refused(pool):
    async with contextlib.aclosing(pool.run(endless(), caller="a")) as busy:
        await first_of(busy)
        waiting = asyncio.create_task(outcome_of(pool, short(), caller="b"))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await outcome_of(pool, short(), caller="c")
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


def pause(seconds, emit, cancelled):
    """A job that takes its time."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if cancelled():
            raise Cancelled
        time.sleep(0.001)
    emit("slept")
    return seconds


def die_once(mark, emit, cancelled):
    """A job whose process is killed the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def fail(emit, cancelled):
    raise RuntimeError("too hard")


async def all_of(messages):
    async with contextlib.aclosing(messages):
        return [message async for message in messages]


async def test_many_jobs_of_one_request_bring_their_results_with_their_numbers():
    async with WorkerPool(workers=2, max_waiting=0) as pool:
        await until(lambda: pool.idle == 2)
        with pool.admit() as request:
            messages = await all_of(request.run_all(partial(pause, 0.01 * n) for n in range(7)))
        results = dict(message for message in messages if message[1] != "slept")
        assert results == {n: 0.01 * n for n in range(7)}
        assert len(messages) == 14
        await until(lambda: pool.idle == 2)


async def test_a_job_whose_process_dies_is_begun_again(pool, tmp_path):
    with pool.admit() as request:
        jobs = [partial(pause, 0.0), partial(die_once, tmp_path / "mark"), partial(pause, 0.1)]
        messages = await all_of(request.run_all(jobs))
    assert [message for message in messages if message[1] != "slept"] == [(0, 0.0), (1, "alive"), (2, 0.1)]


async def test_a_job_that_fails_ends_its_request(pool):
    with pool.admit() as request, pytest.raises(RuntimeError, match="too hard"):
        await all_of(request.run_all([partial(pause, 0.0), fail, partial(pause, 60.0)]))
    await until(lambda: pool.idle == 1)


async def test_leaving_many_jobs_early_frees_the_workers():
    async with WorkerPool(workers=2, max_waiting=0) as pool:
        await until(lambda: pool.idle == 2)
        pids = set(pool.pids)
        with pool.admit() as request:
            async with contextlib.aclosing(request.run_all(partial(pause, 0.1) for _ in range(1_000_000))) as messages:
                assert await first_of(messages)
        await until(lambda: pool.idle == 2)
        assert set(pool.pids) == pids


async def test_a_huge_request_cannot_starve_small_ones(pool):
    """Each small one waits for the job that is running, not for the rest of the huge one."""
    order = []

    async def huge():
        with pool.admit("greedy") as request:
            async with contextlib.aclosing(request.run_all(partial(pause, 0.05) for _ in range(20))) as messages:
                async for _, message in messages:
                    if message != "slept":
                        order.append("huge")

    async def small():
        await outcome_of(pool, partial(pause, 0.05))
        order.append("small")

    greedy = asyncio.create_task(huge())
    await until(lambda: len(order) == 3)
    await small()
    await small()
    await greedy
    assert order.count("huge") == 20
    assert max(where for where, who in enumerate(order) if who == "small") <= 8


async def test_a_refused_caller_is_told_how_long_the_line_takes(pool):
    for _ in range(60):
        with pool.admit() as request:
            request.used_s = 20.0
    async with contextlib.aclosing(pool.run(endless(), caller="a")) as busy:
        await first_of(busy)
        with pool.admit("b"), pytest.raises(Overloaded) as caught, pool.admit("c"):
            pass
    # Two are there, of 20 s each but for what the mean remembers of the beginning.
    assert 39.0 < caught.value.retry_after_s < 40.0
