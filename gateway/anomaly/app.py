# SPDX-License-Identifier: GPL-3.0-or-later
"""The anomaly pod: what it serves, and how it keeps its forests fresh."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import numpy as np
from grpc_health.v1 import health

from gateway.anomaly.forests import Forests
from gateway.anomaly.servicer import AnomalyServicer
from gateway.anomaly.settings import AnomalySettings
from gateway.serving import server as serving
from gateway.serving.drift import DriftMonitor
from orrery.inference import v1
from orrery.inference.v1 import anomaly_service_pb2

SERVICE: str = anomaly_service_pb2.DESCRIPTOR.services_by_name["AnomalyService"].full_name


@contextlib.asynccontextmanager
async def mount(
    settings: AnomalySettings, server: grpc.aio.Server, checks: health.aio.HealthServicer
) -> AsyncIterator[Sequence[str]]:
    """Serve while entered; healthy as soon as a forest is loaded."""
    forests = Forests(settings.model_store / settings.forest_name, settings.kept_versions, settings.threads)
    with ThreadPoolExecutor(settings.threads, thread_name_prefix="score") as executor:
        drift = DriftMonitor(
            settings.forest_name, forests.reference_of, lambda features, score: np.column_stack((features, score))
        )
        servicer = AnomalyServicer(forests, settings.forest_name, executor, drift)
        v1.add_AnomalyServiceServicer_to_server(servicer, server)
        await checks.set(SERVICE, serving.NOT_SERVING)
        async with asyncio.TaskGroup() as tasks:
            keepers = [
                tasks.create_task(work) for work in (_keep_fresh(forests, checks, settings.poll_s), drift.follow())
            ]
            yield (SERVICE,)
            for keeper in keepers:
                keeper.cancel()


async def _keep_fresh(forests: Forests, checks: health.aio.HealthServicer, poll_s: float) -> None:
    while True:
        await asyncio.to_thread(forests.refresh)
        await checks.set(SERVICE, serving.SERVING if forests.ready else serving.NOT_SERVING)
        await asyncio.sleep(poll_s)


def main() -> None:
    """`python -m gateway anomaly`."""
    settings = AnomalySettings()
    serving.run("anomaly", settings, partial(mount, settings))
