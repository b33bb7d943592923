# SPDX-License-Identifier: GPL-3.0-or-later
"""EstimateImpact through a real server with real workers."""

import asyncio
import multiprocessing
import os
import signal

import grpc
import pytest

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation.bodies import Body
from gateway.simulation.branch import heliocentric
from gateway.simulation.impact.uncertainty import CARTESIAN
from orrery.inference import v1
from tests.unit.simulation.made import START_D, beside
from tests.unit.simulation.test_pod import processor_s, running
from tests.virtual_impactors import question


def request(**changes):
    """A week before Earth is hit with some 20 %; H 24."""
    made = question((20_000.0, 0.0, 0.0), 20_000.0, days=7.0)
    epoch_tdb_jd = made.state_d + J2000_TDB_JD
    state = v1.StateVector(epoch_tdb_jd=epoch_tdb_jd, **dict(zip(CARTESIAN, map(float, made.state), strict=True)))
    item = v1.NearEarthObject(state=state, physical=v1.PhysicalParameters(absolute_magnitude_h=24.0))
    covariance = item.uncertainty.covariance
    covariance.epoch_tdb_jd = epoch_tdb_jd
    covariance.labels.extend(CARTESIAN)
    covariance.values.extend((made.spread @ made.spread.T).ravel())
    window = v1.ImpactWindow(end_tdb_jd=epoch_tdb_jd + 10.0)
    return v1.EstimateImpactRequest(object=item, window=window, **changes)


async def final(stub, asked):
    return [update.estimate async for update in stub.EstimateImpact(asked) if update.HasField("estimate")][-1]


async def test_the_final_estimate_says_all():
    async with running() as channel:
        found = await final(v1.SimulationServiceStub(channel), request(seed=7, bodies=[v1.BODY_EARTH]))
    assert found.final
    assert found.method == v1.IMPACT_METHOD_LINEAR
    assert 0.1 < found.probability_low <= found.probability <= found.probability_high < 0.3
    assert found.seed == 7
    earth = max(found.virtual_impactors, key=lambda row: row.probability)
    assert earth.body == v1.BODY_EARTH
    assert earth.HasField("entry")
    assert earth.ellipse.semi_major_axis_km > 15_000
    assert earth.scales.HasField("palermo_scale")
    assert found.torino_scale == earth.scales.torino_scale
    assert found.palermo_scale == pytest.approx(earth.scales.palermo_scale, abs=0.01)
    assert found.consequences.energy_mt > 0.1
    assert found.consequences.speed_km_s == earth.entry.speed_km_s
    assert found.provenance.force_model


async def test_workers_decide_nothing_and_one_that_dies_is_done_without():
    """The same estimate by one worker, and by two of which one is killed on the way."""
    asked = request(method=v1.IMPACT_METHOD_MONTE_CARLO, samples=1_200, target_relative_precision=0.001)
    async with running(workers=1) as channel:
        expected = await final(v1.SimulationServiceStub(channel), asked)
    async with running(workers=2) as channel:
        stub = v1.SimulationServiceStub(channel)
        call = stub.EstimateImpact(asked)
        found, killed = None, False
        async for update in call:
            found = update.estimate
            if not killed and found.samples:
                os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
                killed = True
    assert killed
    assert found == expected


async def test_a_caller_that_goes_away_frees_the_workers():
    asked = request(method=v1.IMPACT_METHOD_MONTE_CARLO, samples=1_000_000, target_relative_precision=0.001)
    async with running() as channel:
        stub = v1.SimulationServiceStub(channel)
        call = stub.EstimateImpact(asked)
        async for update in call:
            if update.estimate.samples:
                break
        (worker,) = multiprocessing.active_children()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        over_s = processor_s(worker.pid)
        assert (await final(stub, request(bodies=[v1.BODY_EARTH]))).final
        assert [child.pid for child in multiprocessing.active_children()] == [worker.pid]
        assert processor_s(worker.pid) - over_s < 5.0


async def test_an_object_that_is_gone_before_its_uncertainty_holds_is_refused_by_name():
    """It hits Earth after a week; the covariance is of three days later."""
    asked = request(bodies=[v1.BODY_EARTH])
    made = question((3_000.0, 0.0, 0.0), 20_000.0, days=7.0, speed_km_s=(0.0, 30.0, 3.0))
    for name, value in zip(CARTESIAN, map(float, made.state), strict=True):
        setattr(asked.object.state, name, value)
    asked.object.uncertainty.covariance.epoch_tdb_jd += 10.0
    asked.window.end_tdb_jd += 10.0
    async with running() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await final(v1.SimulationServiceStub(channel), asked)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "object.uncertainty.covariance.epoch_tdb_jd" in caught.value.details()
    assert "EARTH" in caught.value.details()


async def test_a_job_that_says_nothing_for_long_is_not_silence():
    """A satellite of Earth for 100 years: its first job takes minutes, its caller hears of it all the same."""
    asked = request()
    state = asked.object.state
    beside_earth = heliocentric(beside(Body.EARTH, (42_164.0, 0.0, 0.0), (0.0, 3.07, 0.0)), START_D)
    for name, value in zip(CARTESIAN, map(float, beside_earth), strict=True):
        setattr(state, name, value)
    state.epoch_tdb_jd = asked.object.uncertainty.covariance.epoch_tdb_jd = START_D + J2000_TDB_JD
    asked.window.end_tdb_jd = state.epoch_tdb_jd + 36_000.0
    async with running() as channel:
        call = v1.SimulationServiceStub(channel).EstimateImpact(asked)
        said = [await call.read() for _ in range(5)]
        call.cancel()
    assert all(update.HasField("progress") for update in said)
    assert said[-1].progress.fraction_done < 0.05


async def test_what_cannot_be_is_refused_by_name():
    asked = request()
    asked.object.uncertainty.covariance.values[0] *= -1.0
    async with running() as channel:
        call = v1.SimulationServiceStub(channel).EstimateImpact(asked)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "object.uncertainty.covariance.values" in caught.value.details()
