# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects whose true impact probability is known by construction.

An object passes, or hits, a body at a chosen place; it is carried back to an epoch, where its state is uncertain along
one direction only. Then the truth is an integral in one dimension: which deviations hit is found with `simulate`, one
object at a time, by bisection, and shares no code with estimates but the integrator.
"""

import asyncio
import contextlib
import dataclasses
import itertools

import numpy as np
from scipy import optimize, stats

from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import AU_KM
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.branch import heliocentric
from gateway.simulation.impact.estimate import Progress, estimate
from gateway.simulation.impact.question import Question
from gateway.simulation.impact.uncertainty import CARTESIAN
from gateway.simulation.nbody import Fidelity, Forces
from gateway.simulation.scenario import Branch, Scenario
from gateway.simulation.simulate import simulate
from tests.unit.simulation.made import START_D, beside, carried

# Beside the one direction: what keeps the covariance from being singular, too little to matter.
NOISE_KM = 0.05


def question(miss_km, sigma_km, *, body=Body.EARTH, days=60.0, speed_km_s=(0.0, 14.0, 3.0), full_rank=False, **changes):
    """A question about an object whose nominal orbit has its least distance `miss_km` at START_D.

    Args:
        miss_km: (3,) position relative to the body then, at right angles to the velocity.
        sigma_km: one sigma of the position at the epoch, in the direction of the miss.
        body: what is passed.
        days: from the epoch to then.
        speed_km_s: relative to the body then.
        full_rank: whether all directions are uncertain, the others by metres.
        changes: of the question.
    """
    state, epoch_d = carried(beside(body, miss_km, speed_km_s), START_D, START_D - days, Fidelity.FAST)
    start = heliocentric(state, epoch_d)
    along = np.zeros(6)
    along[:3] = icrf_to_ecliptic(np.array(miss_km) / np.linalg.norm(miss_km) * sigma_km / AU_KM)
    spread = along[:, None]
    if full_rank:
        others = np.diag([NOISE_KM / AU_KM] * 3 + [NOISE_KM / AU_KM / days] * 3)
        spread = np.column_stack((along, others))
    made = Question(
        state=start,
        state_d=epoch_d,
        orbit=None,
        pushes_au_d2=np.zeros(3),
        labels=CARTESIAN,
        spread=spread,
        spread_d=epoch_d,
        icrf=False,
        barycentric=False,
        window_d=(epoch_d, START_D + 10.0),
        bodies=(Body.VENUS, Body.EARTH, Body.MOON, Body.MARS),
        method=None,
        samples=4_000,
        target=0.1,
        seed=20_290_413,
        forces=Forces(),
    )
    return dataclasses.replace(made, **changes)


def closest_km(asked, sigma, body):
    """How close one member comes to a body's surface; negative inside it."""
    scenario = Scenario(
        epoch_d=asked.state_d,
        baseline_state=asked.state + sigma * asked.spread[:, 0],
        changed_state=None,
        pushes=(),
        duration_d=asked.window_d[1] - asked.state_d,
        forces=asked.forces,
        limits_au={body: 0.1},
    )
    approaches = simulate(scenario, lambda _: None).branches[Branch.BASELINE].approaches
    return min(a.distance_km for a in approaches if a.body is body) - PROPERTIES[body].mean_radius_km


def truth(asked, guess, reach, body=Body.EARTH):
    """The probability, and between which deviations it lies.

    Args:
        asked: of one direction (or of more that do not matter).
        guess: the deviation that comes closest, about.
        reach: how far from it certainly nothing hits.
        body: what is hit.
    """

    def height(sigma):
        return closest_km(asked, sigma, body)

    best = optimize.minimize_scalar(
        height, bounds=(guess - reach, guess + reach), method="bounded", options={"xatol": reach * 1e-4}
    )
    if best.fun >= 0.0:
        return 0.0, (best.x, best.x)
    low, high = (optimize.brentq(height, best.x, best.x + side * reach, xtol=1e-7) for side in (-1.0, 1.0))
    # In the tail on which both lie differences of survival functions keep their digits.
    away, nearer = sorted((abs(low), abs(high)), reverse=True)
    share = (
        stats.norm.cdf(high) - stats.norm.cdf(low) if low * high < 0 else stats.norm.sf(nearer) - stats.norm.sf(away)
    )
    return float(share), (low, high)


class Here:
    """Runs jobs one after the other in this process, in the place of a pool; perhaps the last of each few first."""

    def __init__(self, few=1):
        self.few = few
        self.begun = 0

    async def run_all(self, jobs):
        """As `Request.run_all`."""
        numbered = enumerate(jobs)
        while group := list(itertools.islice(numbered, self.few)):
            for number, job in reversed(group):
                self.begun += 1
                updates = []
                result = job(updates.append, lambda: False)
                for update in updates[-1:]:
                    yield number, update
                yield number, result
                await asyncio.sleep(0)


async def answers(asked, requester=None):
    """Everything an estimate says."""
    async with contextlib.aclosing(estimate(asked, requester or Here())) as updates:
        return [update async for update in updates]


def answer(asked, requester=None):
    """What it says last."""
    return [u for u in asyncio.run(answers(asked, requester)) if not isinstance(u, Progress)][-1]
