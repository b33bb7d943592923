# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation pod: its worker processes, its service, and the service's health."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import grpc
from grpc_health.v1 import health

from gateway.serving import server as serving
from gateway.serving.processors import cpu_quota
from gateway.serving.turns import Turns
from gateway.simulation.ephemeris import span_tdb_jd
from gateway.simulation.pool import WorkerPool
from gateway.simulation.servicer import SimulationServicer
from gateway.simulation.settings import SimulationSettings
from orrery.inference import v1
from orrery.inference.v1 import simulation_service_pb2

SERVICE: str = simulation_service_pb2.DESCRIPTOR.services_by_name["SimulationService"].full_name

# The least that a refused caller is told to wait; more where the line will take longer.
RETRY_AFTER_S: Final = 1.0
# How often the service's health follows the workers'.
HEALTH_PERIOD_S: Final = 0.5


@contextlib.asynccontextmanager
async def mount(
    settings: SimulationSettings,
    server: grpc.aio.Server,
    checks: health.aio.HealthServicer,
    *,
    retry_after_s: float = RETRY_AFTER_S,
    health_period_s: float = HEALTH_PERIOD_S,
) -> AsyncIterator[Sequence[str]]:
    """Serve while entered; healthy as long as a worker is up.

    Raises:
        CannotStart: the asteroid kernel is no SPK file.
    """
    with settings.naming("asteroid_kernel"):
        span_tdb_jd(settings.asteroid_kernel)
    pool = WorkerPool(
        workers=settings.workers,
        max_waiting=settings.max_waiting,
        retry_after_s=retry_after_s,
        max_run_s=settings.max_run_s,
        asteroid_kernel=settings.asteroid_kernel,
    )
    with Turns(cpu_quota(), name="rows") as turns:
        async with pool, asyncio.TaskGroup() as tasks:
            servicer = SimulationServicer(pool, turns, settings.asteroid_kernel)
            v1.add_SimulationServiceServicer_to_server(servicer, server)
            keeper = tasks.create_task(_watch(pool, checks, health_period_s))
            yield (SERVICE,)
            keeper.cancel()


async def _watch(pool: WorkerPool, checks: health.aio.HealthServicer, period_s: float) -> None:
    while True:
        pool.heal()
        await checks.set(SERVICE, serving.SERVING if pool.ready else serving.NOT_SERVING)
        await asyncio.sleep(period_s)


def main() -> None:
    """`python -m gateway simulation`."""
    settings = SimulationSettings()
    serving.run("simulation", settings, partial(mount, settings))
