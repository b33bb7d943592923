# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller that goes away, seen from behind the front: the worker stops for it too."""

import asyncio
import contextlib
import multiprocessing
from functools import partial

import grpc
import pytest

from gateway.serving import server
from gateway.simulation import app
from gateway.simulation.settings import SimulationSettings
from orrery.inference import v1
from tests.pods import ANYWHERE, running_front
from tests.unit.simulation.test_pod import endless, processor_s, question


@contextlib.asynccontextmanager
async def fronted():
    """A stub that asks a front, behind which a pod has one worker."""
    settings = SimulationSettings(address=ANYWHERE, metrics_address=ANYWHERE, workers=1, grace_s=1.0)
    async with (
        server.running(settings, partial(app.mount, settings)) as pod,
        running_front(simulation_address=pod.address) as front,
        grpc.aio.insecure_channel(front.address) as channel,
    ):
        yield v1.SimulationServiceStub(channel)


@pytest.mark.parametrize("way", ["deadline", "cancelled"])
@pytest.mark.parametrize("rpc", ["Simulate", "StreamSimulate"])
async def test_a_call_abandoned_at_the_front_costs_its_worker_a_tenth_of_a_second_at_most(rpc, way):
    """Counted in the worker's own processor time, which no other load on the machine lengthens."""
    async with fronted() as stub:
        assert (await stub.Simulate(question(10.0))).HasField("result")
        (worker,) = multiprocessing.active_children()
        begun_s = processor_s(worker.pid)
        call = getattr(stub, rpc)(endless(), timeout=1.0 if way == "deadline" else None)
        while not call.done() and processor_s(worker.pid) - begun_s < 0.2:
            await asyncio.sleep(0.01)
        if way == "cancelled":
            call.cancel()
        assert (
            await call.code()
            == {
                "deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
                "cancelled": grpc.StatusCode.CANCELLED,
            }[way]
        )
        over_s = processor_s(worker.pid)
        assert (await stub.Simulate(question(1.0))).HasField("result")
        assert [child.pid for child in multiprocessing.active_children()] == [worker.pid]
        assert processor_s(worker.pid) - over_s < 0.1
