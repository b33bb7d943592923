# SPDX-License-Identifier: GPL-3.0-or-later
"""Impact estimates on the pool's own worker processes: how long they take, what they hold, and how right they are."""

import asyncio
import contextlib
import dataclasses
import importlib
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from google.protobuf import json_format

from bench.tables import markdown
from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import AU_KM, JULIAN_YEAR_D
from gateway.simulation.bodies import Body
from gateway.simulation.branch import heliocentric
from gateway.simulation.ephemeris import states
from gateway.simulation.impact.decode import read_question
from gateway.simulation.impact.estimate import Progress, estimate
from gateway.simulation.impact.question import DEFAULT_BODIES, Estimate, Method, Question
from gateway.simulation.impact.target_maps import ellipse, fitted
from gateway.simulation.impact.uncertainty import CARTESIAN
from gateway.simulation.nbody import Forces
from gateway.simulation.pool import WorkerPool
from gateway.simulation.settings import KernelSettings
from orrery.inference import v1

INTRO: Final = """
Written by `make bench-impact`: estimates by two worker processes, as in a pod with two cores. What is estimated and how
is in [impact.md](../impact.md).
"""

# Tests have no types.
_MADE: Final[Any] = importlib.import_module("tests.virtual_impactors")
_EXAMPLES: Final = Path(__file__).resolve().parents[1] / "client" / "examples"
_YR4_DAYS: Final = 2_650.0
_START_D: Final = 9_500.0
_YEARS: Final = 10.0
_CLONES: Final = 10_000
_CANCELLATIONS: Final = 20
_WORKERS: Final = 2
# The nominal orbits' least distances from Earth in tests/accuracy; their truths go from 1e-1 to 1e-6.
_MISSES_KM: Final = (30_500.0, 56_200.0, 73_500.0, 87_400.0, 99_300.0, 110_000.0)
_FEWEST_MONTE_CARLO: Final = 1e-3
_METHODS: Final = {
    Method.LINEAR: "linear",
    Method.IMPORTANCE_SAMPLING: "importance sampling",
    Method.MONTE_CARLO: "Monte Carlo",
}


def question(method: Method, samples: int) -> Question:
    """A made-up near-Earth object, uncertain by 1,000 km, over ten years; with asteroids where their kernel is."""
    sun = states(Body.SUN, np.array([_START_D]))[0]
    state = heliocentric(sun + np.array([1.2, 0.3, 0.2, -0.003, 0.0135, 0.002]), _START_D)
    spread = np.zeros((6, 1))
    spread[:3, 0] = icrf_to_ecliptic(np.array([1_000.0, 0.0, 0.0])) / AU_KM
    return Question(
        state=state,
        state_d=_START_D,
        orbit=None,
        pushes_au_d2=np.zeros(3),
        labels=CARTESIAN,
        spread=spread,
        spread_d=_START_D,
        icrf=False,
        barycentric=False,
        window_d=(_START_D, _START_D + _YEARS * JULIAN_YEAR_D),
        bodies=DEFAULT_BODIES,
        method=method,
        samples=samples,
        target=0.001,
        seed=1,
        forces=Forces(asteroid_kernel=KernelSettings().asteroid_kernel),
    )


def speed() -> str:
    """The linear estimate five times, and ten thousand clones three times."""
    return _in_pool(_speed)


async def _speed(pool: WorkerPool) -> str:
    rows = []
    for name, asked, repeats in (
        (f"linear, made-up object, {_YEARS:g} years", question(Method.LINEAR, 1), 5),
        ("linear, 2024 YR4, 7.3 years", _yr4(), 5),
        (f"{_CLONES:,} clones, made-up object, {_YEARS:g} years", question(Method.MONTE_CARLO, _CLONES), 3),
    ):
        runs = [await _timed(pool, asked) for _ in range(repeats)]
        rows.append((name, _spread([took for took, _, _ in runs]), f"{max(silence for _, silence, _ in runs):.2f}"))
    return markdown(("estimate", "s, median (range)", "longest silence, s"), rows)


def cancellation() -> str:
    """From the caller's leaving, at any time in the first second, until all workers are free for others."""
    return _in_pool(_cancellation)


async def _cancellation(pool: WorkerPool) -> str:
    taken_s = []
    random = np.random.default_rng(1)
    for after_s in random.uniform(0.1, 1.0, _CANCELLATIONS):
        with pool.admit() as admitted, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(after_s)), contextlib.aclosing(estimate(_endless(), admitted)) as updates:
                async for _ in updates:
                    pass
        begun_s = time.monotonic()
        while pool.idle < _WORKERS:  # noqa: ASYNC110  # a pool has no event for it
            await asyncio.sleep(0.001)
        taken_s.append(time.monotonic() - begun_s)
    rows = [(_CANCELLATIONS, _spread([1e3 * took for took in taken_s]))]
    return markdown(("estimates left", "ms until both workers are idle, median (range)"), rows)


def memory() -> str:
    """Resident memory of the pool's process and of its workers while clones are flown, ten years each."""
    return _in_pool(_memory)


async def _memory(pool: WorkerPool) -> str:
    await _timed(pool, question(Method.MONTE_CARLO, 1_000))
    rows = []
    for run in range(3):
        seen: list[float] = []

        def look(update: Progress | Estimate, seen: list[float] = seen) -> None:
            del update
            seen.append(_resident_mib(os.getpid()) + sum(_resident_mib(pid) for pid in pool.pids))

        await _timed(pool, question(Method.MONTE_CARLO, _CLONES // 4), look)
        rows.append((run + 1, *(f"{value:.1f}" for value in (seen[0], max(seen), seen[-1]))))
    return markdown((f"{_CLONES // 4:,} clones, MiB", "first", "most", "last"), rows)


def truths() -> str:
    """Objects whose probability is known by construction, and what each method makes of them in 20 days."""
    return _in_pool(_truths)


async def _truths(pool: WorkerPool) -> str:
    rows = []
    for miss_km in _MISSES_KM:
        made: Question = _MADE.question((miss_km, 0.0, 0.0), 20_000.0, days=20.0, bodies=(Body.EARTH,))
        _, _, linear = await _timed(pool, dataclasses.replace(made, method=Method.LINEAR))
        target = linear.rows[0].target
        if target is None:
            raise RuntimeError("an encounter without a target plane")
        reach = 2.0 * target.capture_km / ellipse(target).semi_major_km
        exact, _ = _MADE.truth(made, float(fitted(target, 1_000.0)[0]), reach)
        rows.append((f"{exact:.3e}", *[await _cell(pool, made, method, exact) for method in _METHODS]))
    return markdown(("truth", *_METHODS.values()), rows)


async def _cell(pool: WorkerPool, made: Question, method: Method, exact: float) -> str:
    if method is Method.MONTE_CARLO and exact < _FEWEST_MONTE_CARLO:
        return "too few hits"
    _, _, found = await _timed(pool, dataclasses.replace(made, method=method))
    return _said(found)


def yr4() -> str:
    """2024 YR4 and the Moon in 2032, by each method."""
    return _in_pool(_yr4_by_all)


async def _yr4_by_all(pool: WorkerPool) -> str:
    rows = []
    for method, name in _METHODS.items():
        took_s, silence_s, found = await _timed(pool, dataclasses.replace(_yr4(), method=method))
        rows.append((name, _said(found), f"{found.hits:,} of {found.samples:,}", f"{took_s:.1f}", f"{silence_s:.2f}"))
    return markdown(("2024 YR4", "probability (95 %)", "hits", "s", "longest silence, s"), rows)


SECTIONS: Final = {
    "Speed": speed,
    "Cancellation": cancellation,
    "Memory": memory,
    "2024 YR4": yr4,
    "Truth by construction": truths,
}


def _in_pool(measure: Callable[[WorkerPool], Coroutine[Any, Any, str]]) -> str:
    async def measured() -> str:
        kernel = KernelSettings().asteroid_kernel
        async with WorkerPool(workers=_WORKERS, max_waiting=4, asteroid_kernel=kernel) as pool:
            while pool.idle < _WORKERS:  # noqa: ASYNC110  # a pool has no event for it
                await asyncio.sleep(0.1)
            return await measure(pool)

    return asyncio.run(measured())


async def _timed(
    pool: WorkerPool, asked: Question, look: Callable[[Progress | Estimate], None] = lambda _: None
) -> tuple[float, float, Estimate]:
    """Seconds, the longest silence, and the final estimate."""
    begun_s = last_s = time.monotonic()
    silence_s, said = 0.0, None
    with pool.admit() as admitted:
        updates: AsyncGenerator[Progress | Estimate, None] = estimate(asked, admitted)
        async for update in updates:
            look(update)
            silence_s = max(silence_s, time.monotonic() - last_s)
            last_s = time.monotonic()
            if isinstance(update, Estimate):
                said = update
    if said is None:
        raise RuntimeError("an estimate ended without one")
    return time.monotonic() - begun_s, silence_s, said


def _yr4() -> Question:
    known = json.loads((_EXAMPLES / "2024_yr4.json").read_text(encoding="utf-8"))
    item = json_format.ParseDict(known["object"], v1.NearEarthObject())
    window = v1.ImpactWindow(end_tdb_jd=item.elements.epoch_tdb_jd + _YR4_DAYS)
    return read_question(v1.EstimateImpactRequest(object=item, window=window), KernelSettings().asteroid_kernel)


def _endless() -> Question:
    return question(Method.MONTE_CARLO, 1_000_000)


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _spread(values: list[float]) -> str:
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _said(found: Estimate) -> str:
    return f"{found.probability:.3e} ({found.low:.3e} to {found.high:.3e})"
