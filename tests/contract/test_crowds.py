# SPDX-License-Identifier: GPL-3.0-or-later
"""Many at once: a front before a simulation pod of one worker, callers with tokens of their own, one of them greedy."""

import asyncio
import contextlib
import hashlib
from functools import partial

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.front import app as front
from gateway.front.settings import FrontSettings
from gateway.front.tuning import Tuning
from gateway.serving import server
from gateway.simulation import app as simulation_app
from gateway.simulation.settings import SimulationSettings
from orrery.inference import v1
from tests.pods import ANYWHERE

EPOCH = 2_461_000.5


def apophis():
    return v1.NearEarthObject(
        elements=v1.OrbitalElements(
            epoch_tdb_jd=EPOCH,
            semi_major_axis_au=0.9223803199446107,
            eccentricity=0.1911663344303949,
            inclination_deg=3.3409585628721,
            longitude_of_ascending_node_deg=203.8996389609976,
            argument_of_perihelion_deg=126.6728440132719,
            mean_anomaly_deg=312.80546650423054,
        )
    )


def huge():
    """A hundred lead times in every direction: tens of seconds of one worker."""
    return v1.EstimateDeflectionRequest(
        object=apophis(),
        from_tdb_jd=2_462_200.5,
        to_tdb_jd=2_462_300.5,
        lead_time_d=[1_200.0 - n for n in range(100)],
        direction=v1.PUSH_DIRECTION_OPTIMAL,
    )


def small():
    return v1.SimulateRequest(scenario=v1.Scenario(object=apophis(), duration_days=100.0))


def token(name):
    return {"metadata": (("authorization", f"Bearer token-of-{name}"),)}


@contextlib.asynccontextmanager
async def running(**settings):
    """The front's stub, the pod's metrics address."""
    names = ("greedy", "modest", *(f"caller{n}" for n in range(40)))
    callers = "\n".join(
        f"{name} simulator,reader sha256:{hashlib.sha256(f'token-of-{name}'.encode()).hexdigest()}" for name in names
    )
    behind = SimulationSettings(
        **{"address": ANYWHERE, "metrics_address": ANYWHERE, "workers": 1, "grace_s": 1.0, **settings},
        asteroid_kernel=None,
    )
    async with server.running(behind, partial(simulation_app.mount, behind)) as pod:
        before = FrontSettings(
            address=ANYWHERE,
            metrics_address=ANYWHERE,
            grace_s=1.0,
            simulation_address=pod.address,
            callers=callers,
        )
        async with (
            server.running(before, partial(front.mount, before, tuning=Tuning(health_period_s=0.1))) as opened,
            grpc.aio.insecure_channel(opened.address) as channel,
        ):
            yield v1.SimulationServiceStub(channel), pod


async def begun(stub, name):
    """A huge request of somebody that is past its encounter."""
    call = stub.EstimateDeflection(huge(), **token(name))
    while not (await call.read()).HasField("point"):
        pass
    return call


@pytest.mark.long
async def test_a_greedy_caller_cannot_starve_a_modest_one():
    """Eight huge requests of one caller and one small of another: it waits for a job or two, not for hundreds."""
    async with running() as (stub, pod):
        greedy = [asyncio.create_task(begun(stub, "greedy")) for _ in range(8)]
        calls = [await task for task in greedy]
        for _ in range(3):
            reply = await asyncio.wait_for(stub.Simulate(small(), **token("modest")), timeout=60.0)
            assert reply.result.baseline_final_state.epoch_tdb_jd == EPOCH + 100.0
        # None of the greedy ones is done: the small ones went between their jobs.
        assert not any(call.done() for call in calls)
        async with httpx.AsyncClient() as reader:
            text = (await reader.get(f"http://{pod.metrics_address}/metrics")).text
        gauges = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("orrery_simulation_"))
        assert float(gauges["orrery_simulation_workers"]) == 1.0
        assert float(gauges["orrery_simulation_busy_workers"]) == 1.0
        assert float(gauges["orrery_simulation_queue_length"]) >= 6.0
        assert float(gauges["orrery_simulation_queue_seconds_count"]) > 10.0
        for call in calls:
            call.cancel()


async def test_a_hundred_at_once_are_answered_or_told_when_to_come_back():
    """With one huge request among them; nobody is lost, nobody hangs."""
    async with running(max_waiting=40) as (stub, _):
        call = await begun(stub, "greedy")

        async def ask(number):
            try:
                await stub.Simulate(small(), timeout=150.0, **token(f"caller{number % 40}"))
            except grpc.aio.AioRpcError as error:
                return error
            return None

        outcomes = await asyncio.gather(*(ask(number) for number in range(100)))
        refused = [outcome for outcome in outcomes if outcome is not None]
        # Those who came while others were being answered took their places.
        assert 0 < len(refused) <= 60
        for error in refused:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            told = [
                box for box in rpc_status.from_call(error).details if box.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
            ]
            info = error_details_pb2.RetryInfo()
            told[0].Unpack(info)
            assert info.retry_delay.ToTimedelta().total_seconds() >= 1.0
        call.cancel()
