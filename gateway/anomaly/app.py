# SPDX-License-Identifier: GPL-3.0-or-later
"""The anomaly pod: what it serves, and how it keeps its forests fresh."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import grpc
import numpy as np
from grpc_health.v1 import health

from gateway.anomaly.forests import Forests
from gateway.anomaly.servicer import AnomalyServicer
from gateway.anomaly.settings import AnomalySettings
from gateway.serving import server as serving
from gateway.serving.drift import DriftMonitor
from gateway.serving.settings import FOREST_NAME
from gateway.serving.turns import Turns
from orrery.inference import v1
from orrery.inference.v1 import anomaly_service_pb2

SERVICE: str = anomaly_service_pb2.DESCRIPTOR.services_by_name["AnomalyService"].full_name

# Newest versions that stay loaded, so that a caller may pin the one before.
KEPT_VERSIONS: Final = 2
# How often the store is looked at for a new version.
POLL_S: Final = 1.0


@contextlib.asynccontextmanager
async def mount(
    settings: AnomalySettings, server: grpc.aio.Server, checks: health.aio.HealthServicer, poll_s: float = POLL_S
) -> AsyncIterator[Sequence[str]]:
    """Serve while entered; healthy as soon as a forest is loaded."""
    forests = Forests(settings.model_store / FOREST_NAME, KEPT_VERSIONS)
    with Turns(settings.threads, name="score") as turns:
        drift = DriftMonitor(
            FOREST_NAME, forests.reference_of, lambda features, score: np.column_stack((features, score))
        )
        servicer = AnomalyServicer(forests, FOREST_NAME, turns, drift)
        v1.add_AnomalyServiceServicer_to_server(servicer, server)
        await checks.set(SERVICE, serving.NOT_SERVING)
        async with asyncio.TaskGroup() as tasks:
            keepers = [tasks.create_task(work) for work in (_keep_fresh(forests, checks, poll_s), drift.follow())]
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
