# SPDX-License-Identifier: GPL-3.0-or-later
"""How long impact estimates take on the pool's own worker processes: `python -m bench.impact`."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import AU_KM, JULIAN_YEAR_D
from gateway.simulation.bodies import Body
from gateway.simulation.branch import heliocentric
from gateway.simulation.ephemeris import states
from gateway.simulation.impact.estimate import estimate
from gateway.simulation.impact.question import DEFAULT_BODIES, Method, Question
from gateway.simulation.impact.uncertainty import CARTESIAN
from gateway.simulation.nbody import Forces
from gateway.simulation.pool import WorkerPool
from gateway.simulation.settings import KernelSettings

_START_D = 9_500.0
_YEARS = 10.0
_CLONES = 10_000


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


async def _timed(pool: WorkerPool, asked: Question) -> tuple[float, float]:
    """Seconds, and the longest silence."""
    begun_s = last_s = time.monotonic()
    silence_s = 0.0
    with pool.admit() as admitted:
        async for update in estimate(asked, admitted):
            del update
            silence_s = max(silence_s, time.monotonic() - last_s)
            last_s = time.monotonic()
    return time.monotonic() - begun_s, silence_s


async def measure(say: Callable[[str], None]) -> None:
    """The linear estimate five times, and ten thousand clones once, on two processes."""
    async with WorkerPool(workers=2, max_waiting=4, asteroid_kernel=KernelSettings().asteroid_kernel) as pool:
        while pool.idle < 2:  # noqa: ASYNC110  # a pool has no event for it
            await asyncio.sleep(0.1)
        for _ in range(5):
            took_s, _ = await _timed(pool, question(Method.LINEAR, 1))
            say(f"linear, {_YEARS:g} years: {took_s:.2f} s")
        took_s, silence_s = await _timed(pool, question(Method.MONTE_CARLO, _CLONES))
        say(f"{_CLONES:,} clones, {_YEARS:g} years: {took_s:.1f} s, longest silence {silence_s:.2f} s")


if __name__ == "__main__":
    asyncio.run(measure(print))
