# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod with a service of a few lines: what happens around calls can be tested without models."""

import asyncio
import contextlib

from gateway.serving import server
from gateway.serving.settings import ServingSettings
from orrery.inference import v1
from orrery.inference.v1 import anomaly_service_pb2
from tests.pods import ANYWHERE

SERVICE = anomaly_service_pb2.DESCRIPTOR.services_by_name["AnomalyService"].full_name


class Broken(v1.AnomalyServiceServicer):
    """A service with a fault, whose error quotes the request, and a stream that waits where it is told to."""

    def __init__(self):
        self.go = asyncio.Event()
        self.go.set()

    async def ScoreAnomalies(self, request, _context):  # noqa: N802  # the contract's name
        raise KeyError(request.objects[0].designation)

    async def ScoreAnomalyColumns(self, _request, _context):  # noqa: N802  # the contract's name
        return v1.ScoreAnomalyColumnsResponse()

    async def StreamScoreAnomalies(self, request_iterator, _context):  # noqa: N802  # the contract's name
        async for _ in request_iterator:
            await self.go.wait()
            yield v1.ScoreAnomalyColumnsResponse()


@contextlib.asynccontextmanager
async def running_broken(servicer=None, **settings):
    @contextlib.asynccontextmanager
    async def mount(grpc_server, checks):
        v1.add_AnomalyServiceServicer_to_server(servicer or Broken(), grpc_server)
        await checks.set(SERVICE, server.SERVING)
        yield (SERVICE,)

    chosen = ServingSettings(**{"address": ANYWHERE, "metrics_address": ANYWHERE, "grace_s": 1.0, **settings})
    async with server.running(chosen, mount, "broken") as pod:
        yield pod
