# SPDX-License-Identifier: GPL-3.0-or-later
"""Small calls beside large ones, on real pods: each takes its own time and at most a second more.

A second of the machine: what is compared is the processor time that workers give to all jobs between a question and
its answer, because the time on the clock depends on what else the machine is doing. The orbit and the covariance of
2001 VB are JPL's (SBDB): an arc of seven days, so that a block of clones takes tens of seconds.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import json_format

from gateway.serving import metrics as serving_metrics
from gateway.serving import server
from gateway.simulation import app as simulation_app
from gateway.simulation import metrics
from gateway.simulation.bodies import Body
from gateway.simulation.branch import heliocentric
from gateway.simulation.settings import SimulationSettings
from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests.objects import eros
from tests.pods import ANYWHERE, running_anomaly
from tests.unit.simulation import made

WORKERS = 2
EXTRA_S = 1.0
PATIENCE_S = 60.0
ESTIMATE = json_format.ParseDict(
    json.loads(Path(__file__).with_name("impact_2001_vb.json").read_text()), v1.EstimateImpactRequest()
)


def elements(semi_major_axis_au=1.5, mean_anomaly_deg=30.0):
    return v1.NearEarthObject(
        elements=v1.OrbitalElements(
            epoch_tdb_jd=2461000.5,
            semi_major_axis_au=semi_major_axis_au,
            eccentricity=0.2,
            inclination_deg=5,
            longitude_of_ascending_node_deg=10,
            argument_of_perihelion_deg=20,
            mean_anomaly_deg=mean_anomaly_deg,
        )
    )


SMALL = v1.SimulateRequest(scenario=v1.Scenario(object=elements(), duration_days=100.0))


def satellite(fidelity):
    """A hundred years around Earth: hours of work that nobody can divide into jobs."""
    start = heliocentric(made.beside(Body.EARTH, (0, 7000, 0), (7.5, 0, 0)), made.START_D)
    names = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")
    state = v1.StateVector(
        epoch_tdb_jd=2451545.0 + made.START_D,
        frame=v1.FRAME_ECLIPTIC_J2000,
        origin=v1.ORIGIN_SUN,
        **dict(zip(names, start.tolist(), strict=True)),
    )
    return v1.SimulateRequest(
        scenario=v1.Scenario(object=v1.NearEarthObject(state=state), duration_days=36_525.0, fidelity=fidelity)
    )


def deflection():
    """A hundred lead times in every direction."""
    apophis = v1.NearEarthObject(
        elements=v1.OrbitalElements(
            epoch_tdb_jd=2461000.5,
            semi_major_axis_au=0.9223803199446107,
            eccentricity=0.1911663344303949,
            inclination_deg=3.3409585628721,
            longitude_of_ascending_node_deg=203.8996389609976,
            argument_of_perihelion_deg=126.6728440132719,
            mean_anomaly_deg=312.80546650423054,
        )
    )
    return v1.EstimateDeflectionRequest(
        object=apophis,
        from_tdb_jd=2_462_200.5,
        to_tdb_jd=2_462_300.5,
        lead_time_d=[1_200.0 - n for n in range(100)],
        direction=v1.PUSH_DIRECTION_OPTIMAL,
    )


def orbits(count):
    """Columns of made-up orbits."""
    random = np.random.default_rng(7)
    return v1.OrbitColumns(
        semi_major_axis_au=random.uniform(0.7, 3.0, count),
        eccentricity=random.uniform(0.0, 0.6, count),
        inclination_deg=random.uniform(0.0, 60.0, count),
        longitude_of_ascending_node_deg=random.uniform(0.0, 360.0, count),
        argument_of_perihelion_deg=random.uniform(0.0, 360.0, count),
        absolute_magnitude_h=random.uniform(15.0, 25.0, count),
        epoch_tdb_jd=[2461000.5],
    )


def named(caller):
    return {"metadata": (("x-orrery-caller", caller),)}


def total(histogram):
    """The sum of what a histogram of this process has observed."""
    return next(sample.value for sample in histogram.collect()[0].samples if sample.name.endswith("_sum"))


def worked_s():
    """Processor time that workers have given to jobs so far."""
    return total(metrics.SLICE_SECONDS)


@contextlib.asynccontextmanager
async def running(**settings):
    """A simulation pod, and its stub, once a worker answers."""
    asked = SimulationSettings(
        **{"address": ANYWHERE, "metrics_address": ANYWHERE, "workers": WORKERS, "grace_s": 0.5, **settings},
        asteroid_kernel=None,
    )
    async with (
        server.running(asked, partial(simulation_app.mount, asked)) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        stub = v1.SimulationServiceStub(channel)
        async with asyncio.timeout(PATIENCE_S):
            # Each worker reads its kernels once.
            while not await asyncio.gather(*(answered(stub, f"first {n}") for n in range(2 * WORKERS))):
                await asyncio.sleep(0.1)
        yield stub


async def answered(stub, caller="bystander"):
    await stub.Simulate(SMALL, timeout=PATIENCE_S, wait_for_ready=True, **named(caller))
    return True


async def asked(call):
    """Read a stream, or wait for a reply, until cancelled."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        if hasattr(call, "read"):
            async for _ in call:
                pass
        else:
            await call


@contextlib.asynccontextmanager
async def beside(*calls):
    """Large calls under way, of which none ends by itself meanwhile."""
    reading = [asyncio.create_task(asked(call)) for call in calls]
    try:
        yield
        assert not any(task.done() for task in reading)
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def costs_s(stub, rounds):
    """What workers do between each small question and its answer."""
    costs = []
    for _ in range(rounds):
        before_s = worked_s()
        await answered(stub)
        costs.append(worked_s() - before_s)
        await asyncio.sleep(0.05)
    return costs


@pytest.mark.parametrize("caller", ["bystander", "another"])
async def test_a_small_simulation_beside_large_estimates_takes_its_own_time_and_a_second(caller):
    async with running() as stub:
        own_s = max(await costs_s(stub, 3))
        calls = [stub.EstimateImpact(ESTIMATE, timeout=300.0, **named(caller)) for _ in range(3)]
        async with beside(*calls):
            # Until blocks of clones have begun everything is new, and quick.
            began_s = worked_s()
            while worked_s() < began_s + 4.0:
                await asyncio.sleep(0.05)
            costs = await costs_s(stub, 5)
        assert max(costs) <= own_s + WORKERS * EXTRA_S


@pytest.mark.long
async def test_a_small_simulation_beside_everything_else_takes_its_own_time_and_a_second():
    """Estimates, deflections, satellites and bulk MOIDs, of the same caller and of others."""
    columns = v1.ComputeMoidColumnsRequest(orbits=orbits(100_000))
    certified = v1.ComputeMoidRequest(objects=[elements()] * 1_000, planets=list(range(1, 9)), certify=True)
    async with running() as stub:
        own_s = max(await costs_s(stub, 5))
        calls = []
        for number in range(4):
            caller = named("bystander" if number == 0 else f"caller {number}")
            calls.append(stub.EstimateImpact(ESTIMATE, timeout=600.0, **caller))
            calls.append(stub.EstimateDeflection(deflection(), timeout=600.0, **caller))
            calls.append(stub.StreamSimulate(satellite(v1.FIDELITY_AUDIT), timeout=600.0, **caller))
        async with beside(*calls):
            bulk = [
                asyncio.create_task(asked(call))
                for call in (
                    *(stub.ComputeMoidColumns(columns, timeout=600.0, **named("bulk")) for _ in range(3)),
                    *(stub.ComputeMoid(certified, timeout=600.0, **named("bulk")) for _ in range(3)),
                )
            ]
            await asyncio.sleep(5.0)
            costs = await costs_s(stub, 20)
            for task in bulk:
                task.cancel()
        assert max(costs) <= own_s + WORKERS * EXTRA_S


async def test_a_call_that_cannot_make_its_deadline_is_told_when_to_come_back():
    """Where calls of one caller queue up, one more in a hurry is refused at once; a call of another caller is not."""
    async with running(workers=1) as stub:
        long = v1.SimulateRequest(scenario=v1.Scenario(object=elements(), duration_days=36_525.0))
        crowd = [
            asyncio.create_task(asked(stub.Simulate(long, timeout=PATIENCE_S, **named("crowd")))) for _ in range(25)
        ]
        await asyncio.sleep(1.0)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Simulate(SMALL, timeout=0.3, **named("crowd"))
        refusal = InferenceError(raised.value)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == "OVERLOADED"
        assert refusal.retry_after_s >= 1.0
        assert await answered(stub, "another")
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)


async def test_one_caller_never_has_all_places():
    async with running(workers=1, max_waiting=5) as stub:
        long = v1.SimulateRequest(scenario=v1.Scenario(object=elements(), duration_days=36_525.0))
        calls = [stub.StreamSimulate(long, timeout=PATIENCE_S, **named("greedy")) for _ in range(10)]
        ends = await asyncio.gather(*(call.read() for call in calls), return_exceptions=True)
        refused = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
        # Half of six places.
        assert len(refused) == 7
        assert {end.code() for end in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert await answered(stub, "modest")
        for call in calls:
            call.cancel()


async def test_progress_says_whether_work_has_begun():
    """All processes are halted while another call is being worked on: whoever comes then waits."""
    others = set(multiprocessing.active_children())
    async with running(workers=1) as stub:
        (worker,) = set(multiprocessing.active_children()) - others
        long = v1.SimulateRequest(scenario=v1.Scenario(object=elements(), duration_days=36_525.0))
        first = stub.StreamSimulate(long, timeout=PATIENCE_S, **named("first"))
        assert (await first.read()).progress.state == v1.PROGRESS_STATE_RUNNING
        calls = (
            stub.StreamSimulate(long, timeout=PATIENCE_S, **named("second")),
            stub.EstimateImpact(ESTIMATE, timeout=PATIENCE_S, **named("third")),
            stub.EstimateDeflection(deflection(), timeout=PATIENCE_S, **named("fourth")),
        )
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            for call in calls:
                for _ in range(2):
                    progress = (await call.read()).progress
                    assert (progress.state, progress.fraction_done) == (v1.PROGRESS_STATE_QUEUED, 0.0)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        for call in calls:
            while (await call.read()).progress.state != v1.PROGRESS_STATE_RUNNING:
                pass
        for call in (first, *calls):
            call.cancel()


async def is_loaded(stub, request):
    """Whether the pod has a forest."""
    try:
        await stub.ScoreAnomalies(request, timeout=PATIENCE_S, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # any other is a failure
        return False
    return True


@pytest.mark.parametrize("callers", ["same", "others"])
async def test_an_explained_score_goes_between_the_pieces_of_bulk_calls(callers):
    """Columns of 100,000 objects and explanations of 1,000, eight calls on two threads."""
    small = v1.ScoreAnomaliesRequest(objects=[eros()], explain=True)
    columns = v1.ScoreAnomalyColumnsRequest(orbits=orbits(100_000))
    rows = v1.ScoreAnomaliesRequest(objects=[eros()] * 1_000, explain=True)
    threads = 2
    async with running_anomaly(threads=threads) as pod, grpc.aio.insecure_channel(pod.address) as channel:
        stub = v1.AnomalyServiceStub(channel)
        async with asyncio.timeout(PATIENCE_S):
            while not await is_loaded(stub, small):
                await asyncio.sleep(0.1)

        async def bulk(number):
            caller = named("bystander" if callers == "same" else f"caller {number}")
            while True:
                if number % 2:
                    await stub.ScoreAnomalyColumns(columns, timeout=PATIENCE_S, **caller)
                else:
                    await stub.ScoreAnomalies(rows, timeout=PATIENCE_S, **caller)

        async def cost_s():
            before_s = total(serving_metrics.TURN_SECONDS)
            reply = await stub.ScoreAnomalies(small, timeout=PATIENCE_S, **named("bystander"))
            assert reply.scores[0].contributions
            return total(serving_metrics.TURN_SECONDS) - before_s

        own_s = max([await cost_s() for _ in range(3)])
        tasks = [asyncio.create_task(bulk(number)) for number in range(8)]
        began_s = total(serving_metrics.TURN_SECONDS)
        async with asyncio.timeout(PATIENCE_S):
            while total(serving_metrics.TURN_SECONDS) < began_s + 1.0:
                await asyncio.sleep(0.01)
        costs = [await cost_s() for _ in range(10)]
        for task in tasks:
            task.cancel()
        assert not [end for end in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(end, Exception)]
        assert max(costs) <= own_s + threads * EXTRA_S, costs
