# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod through a real server on a free port."""

import asyncio
import contextlib
import math
import multiprocessing
import os
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gateway.neo.moid import earth_moid
from gateway.neo.orbits import Orbits
from gateway.serving import server
from gateway.serving.environment import InvalidSettings
from gateway.simulation import app, ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.settings import SimulationSettings
from orrery.inference import v1

EPOCH = 2_461_000.5
APOPHIS = {
    "designation": "(99942) Apophis",
    "elements": {
        "epoch_tdb_jd": EPOCH,
        "semi_major_axis_au": 0.9223803199446107,
        "eccentricity": 0.1911663344303949,
        "inclination_deg": 3.3409585628721,
        "longitude_of_ascending_node_deg": 203.8996389609976,
        "argument_of_perihelion_deg": 126.6728440132719,
        "mean_anomaly_deg": 312.80546650423054,
    },
    "non_gravitational": {"a2_au_d2": -2.90010329254113e-14},
}

# One loop for all: they share a pod, unless they ask for another.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextlib.asynccontextmanager
async def running(*, retry_after_s=app.RETRY_AFTER_S, **settings):
    chosen = SimulationSettings(
        **{"address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0", "workers": 1, "grace_s": 1.0, **settings}
    )
    async with (
        server.running(chosen, partial(app.mount, chosen, retry_after_s=retry_after_s)) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        yield channel


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel():
    async with running() as opened:
        yield opened


@pytest.fixture
def stub(channel):
    return v1.SimulationServiceStub(channel)


def apophis():
    return json_format.ParseDict(APOPHIS, v1.NearEarthObject())


def question(days=1500.0, **output):
    asked = v1.SimulateRequest(scenario=v1.Scenario(object=apophis(), duration_days=days))
    asked.scenario.output.CopyFrom(v1.OutputOptions(**output))
    return asked


def endless():
    """A satellite of Earth for 100 years."""
    asked = v1.SimulateRequest(scenario=v1.Scenario(object=apophis(), duration_days=36_525.0))
    state = asked.scenario.object.state
    # Earth at 2025-11-21, and 7,000 km from its centre.
    state.CopyFrom(v1.StateVector(epoch_tdb_jd=EPOCH, frame=v1.FRAME_ECLIPTIC_J2000))
    earth = ephemeris.heliocentric_ecliptic_states(Body.EARTH, np.array([EPOCH - 2_451_545.0]))[0]
    names = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")
    offset = (0.0, 7000 / 1.496e8, 0.0, 7.5 * 86_400 / 1.496e8, 0.0, 0.0)
    for name, value in zip(names, earth + np.array(offset), strict=True):
        setattr(state, name, value)
    return asked


def details(error):
    status = rpc_status.from_call(error)
    found = {}
    for box in status.details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            if box.Is(kind.DESCRIPTOR):
                found[kind.__name__] = kind()
                box.Unpack(found[kind.__name__])
    return found


def numbers(message):
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if field.message_type is not None:
                yield from numbers(item)
            elif isinstance(item, float):
                yield item


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_unary_and_stream_say_the_same(stub):
    asked = question(trajectory_points=101)
    asked.scenario.changes.add().impulse.CopyFrom(v1.Impulse(time_tdb_jd=EPOCH + 500, transverse_km_s=1e-6))
    unary = (await stub.Simulate(asked)).result
    updates = [update async for update in stub.StreamSimulate(asked)]
    kinds = [update.WhichOneof("update") for update in updates]
    assert kinds[-1] == "result"
    assert kinds.count("result") == 1
    result = updates[-1].result
    assert not result.trajectories
    assert len(unary.trajectories) == 2
    for branch, whole in zip((v1.BRANCH_BASELINE, v1.BRANCH_CHANGED), unary.trajectories, strict=True):
        chunks = [u.trajectory for u in updates if u.HasField("trajectory") and u.trajectory.branch == branch]
        assert [t for chunk in chunks for t in chunk.time_tdb_jd] == list(whole.time_tdb_jd)
        assert [x for chunk in chunks for x in chunk.x_au] == list(whole.x_au)
        assert len(whole.time_tdb_jd) == 101
    seen = [update.close_approach for update in updates if update.HasField("close_approach")]
    assert seen == [*result.baseline, *result.changed]
    del unary.trajectories[:]
    assert unary == result
    assert all(math.isfinite(number) for number in numbers(unary))


async def test_a_result_holds_what_was_asked(stub):
    result = (await stub.Simulate(question(bodies=[v1.BODY_EARTH], max_distance_au=0.01, check_round_trip=True))).result
    (encounter,) = result.baseline
    assert encounter.body == v1.BODY_EARTH
    assert encounter.branch == v1.BRANCH_BASELINE
    assert encounter.HasField("v_infinity_km_s")
    assert encounter.HasField("b_plane")
    assert not encounter.HasField("impact")
    assert not result.changed
    assert not result.HasField("changed_final_state")
    assert not result.moid.HasField("changed_au")
    assert result.moid.baseline_au < 0.001
    assert result.energy.round_trip_error_km < 1.0
    assert result.baseline_final_state.epoch_tdb_jd == EPOCH + 1500
    assert result.baseline_final_elements.semi_major_axis_au > 1.0
    assert result.provenance.fidelity == v1.FIDELITY_FAST
    assert result.notes


async def test_all_violations_come_back_by_path(stub):
    asked = question(trajectory_points=1)
    asked.scenario.changes.add().impulse.CopyFrom(v1.Impulse(time_tdb_jd=EPOCH - 1))
    asked.scenario.changes.add()
    asked.scenario.duration_days = math.nan
    for call in (stub.Simulate(asked), stub.StreamSimulate(asked).read()):
        error = await refusal(call)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        said = details(error)
        assert said["ErrorInfo"].reason == "INVALID_FIELD"
        assert {violation.field for violation in said["BadRequest"].field_violations} == {
            "scenario.output.trajectory_points",
            "scenario.changes[1].elements",
            "scenario.duration_days",
        }


async def test_beyond_the_ephemeris_is_out_of_range_with_its_span(stub):
    asked = question()
    asked.scenario.object.elements.epoch_tdb_jd = 2_688_976.0
    error = await refusal(stub.Simulate(asked))
    assert error.code() == grpc.StatusCode.OUT_OF_RANGE
    said = details(error)["ErrorInfo"]
    assert (said.reason, said.metadata["span_tdb_jd"]) == ("OUTSIDE_EPHEMERIS", "2287184.5 to 2688976.5")


async def test_a_deadline_ends_the_work_and_the_worker_is_free_again(stub):
    error = await refusal(stub.Simulate(endless(), timeout=1.0))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await stub.Simulate(question(10.0))).HasField("result")


async def test_a_client_that_goes_away_frees_the_worker(stub):
    call = stub.StreamSimulate(endless())
    assert await call.read()
    call.cancel()
    assert (await stub.Simulate(question(10.0))).HasField("result")


@pytest.mark.parametrize("way", ["unary deadline", "stream deadline", "unary cancelled", "stream cancelled"])
async def test_an_abandoned_call_costs_its_worker_a_tenth_of_a_second_at_most(way):
    """Counted in the worker's own processor time, which no other load on the machine lengthens."""
    others = set(multiprocessing.active_children())
    async with running() as channel:
        stub = v1.SimulationServiceStub(channel)
        assert (await stub.Simulate(question(10.0))).HasField("result")
        (worker,) = set(multiprocessing.active_children()) - others
        begun_s = processor_s(worker.pid)
        call = stub.Simulate(endless(), timeout=1.0) if way == "unary deadline" else None
        call = call or (stub.Simulate(endless()) if way.startswith("unary") else None)
        call = call or stub.StreamSimulate(endless(), timeout=1.0 if way == "stream deadline" else None)
        while not call.done() and processor_s(worker.pid) - begun_s < 0.2:
            await asyncio.sleep(0.01)
        if way.endswith("cancelled"):
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await (call if isinstance(call, grpc.aio.UnaryUnaryCall) else drained(call))
        over_s = processor_s(worker.pid)
        # The same worker answers the next call: it was stopped, not replaced.
        assert (await stub.Simulate(question(1.0))).HasField("result")
        assert set(multiprocessing.active_children()) - others == {worker}
        assert processor_s(worker.pid) - over_s < 0.1


def processor_s(pid):
    """Seconds of processor time that a process has used (proc(5): utime and stime, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def drained(stream):
    async for _ in stream:
        pass


async def test_health_and_moids_answer_while_every_worker_is_busy(channel, stub):
    await wait_until_serving(channel)
    busy = stub.StreamSimulate(endless())
    await busy.read()
    waiting = asyncio.ensure_future(stub.Simulate(question(10.0)).wait_for_connection())
    checks = health_pb2_grpc.HealthStub(channel)
    for service in ("", app.SERVICE):
        reply = await checks.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    moids = await stub.ComputeMoid(v1.ComputeMoidRequest(objects=[apophis()]), timeout=30)
    assert moids.objects[0].moids[0].converged
    assert (await busy.read()).WhichOneof("update") != "result"
    busy.cancel()
    await waiting


async def test_a_push_is_told_encounter_by_encounter(stub):
    asked = question(bodies=[v1.BODY_EARTH], max_distance_au=0.01)
    asked.scenario.changes.add().ecliptic_impulse.CopyFrom(v1.EclipticImpulse(time_tdb_jd=EPOCH + 100, y_km_s=1e-6))
    result = (await stub.Simulate(asked)).result
    (was,), (now,), (found,) = result.baseline, result.changed, result.differences
    assert (found.body, found.baseline_index, found.changed_index) == (v1.BODY_EARTH, 0, 0)
    assert found.distance_km == now.distance_km - was.distance_km != 0.0
    assert found.time_s == pytest.approx((now.time_tdb_jd - was.time_tdb_jd) * 86_400)
    assert found.zeta_km == now.b_plane.zeta_km - was.b_plane.zeta_km != 0.0
    asked.scenario.ClearField("changes")
    assert not (await stub.Simulate(asked)).result.differences


async def test_an_entry_comes_with_its_approach(stub):
    asked = question(2.0)
    state = asked.scenario.object.state
    state.CopyFrom(v1.StateVector(epoch_tdb_jd=EPOCH, frame=v1.FRAME_ECLIPTIC_J2000))
    earth = ephemeris.heliocentric_ecliptic_states(Body.EARTH, np.array([EPOCH - 2_451_545.0]))[0]
    names = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")
    for name, value in zip(names, earth + np.array([5e-3, 0.0, 0.0, -8e-3, 0.0, 0.0]), strict=True):
        setattr(state, name, value)
    updates = [update async for update in stub.StreamSimulate(asked)]
    approach = updates[-1].result.baseline[-1]
    assert approach in [update.close_approach for update in updates if update.HasField("close_approach")]
    assert approach.HasField("impact")
    assert approach.entry.time_tdb_jd < approach.impact.time_tdb_jd
    assert approach.entry.altitude_km == 100.0
    assert abs(approach.entry.latitude_deg) <= 90.0
    assert approach.entry.flight_path_angle_deg < -45.0
    assert not any(note.startswith("leap seconds") for note in updates[-1].result.notes)


async def test_an_adaptive_trajectory_comes_in_chunks_with_its_times(stub):
    asked = question(trajectory_points=2500, sampling=v1.SAMPLING_ADAPTIVE)
    updates = [update async for update in stub.StreamSimulate(asked)]
    chunks = [update.trajectory for update in updates if update.HasField("trajectory")]
    assert [len(chunk.time_tdb_jd) for chunk in chunks] == [1000, 1000, 500]
    times = [time for chunk in chunks for time in chunk.time_tdb_jd]
    assert times[0] == EPOCH
    assert times[-1] == pytest.approx(EPOCH + 1500.0, abs=1e-8)
    # 2029-04-13 is where it is dense.
    assert 2_462_240.0 < times[int(np.argmin(np.diff(times)))] < 2_462_241.0


async def test_too_many_at_once_are_told_when_to_come_back():
    async with running(max_waiting=0, retry_after_s=3.5) as channel:
        stub = v1.SimulationServiceStub(channel)
        await wait_until_serving(channel)
        busy = stub.StreamSimulate(endless())
        await busy.read()
        error = await refusal(stub.Simulate(question()))
        busy.cancel()
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(error)["RetryInfo"].retry_delay.ToTimedelta().total_seconds() == 3.5


async def wait_until_serving(channel):
    checks = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(60):
        async for reply in checks.Watch(health_pb2.HealthCheckRequest(service=app.SERVICE)):
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return


async def test_moids_of_rows_and_columns_agree_with_the_small_table(stub):
    elements = APOPHIS["elements"]
    rows = await stub.ComputeMoid(
        v1.ComputeMoidRequest(objects=[apophis()], planets=[v1.PLANET_VENUS, v1.PLANET_EARTH])
    )
    venus, earth = rows.objects[0].moids
    assert rows.objects[0].designation == APOPHIS["designation"]
    assert (venus.planet, earth.planet) == (v1.PLANET_VENUS, v1.PLANET_EARTH)
    assert 0 <= earth.object_true_anomaly_deg < 360
    assert earth.reference_orbit.epoch_tdb_jd == EPOCH
    assert earth.converged
    shape = {name: [value] * 3 for name, value in elements.items() if name not in {"epoch_tdb_jd", "mean_anomaly_deg"}}
    columns = v1.OrbitColumns(epoch_tdb_jd=[EPOCH], **shape)
    same = await stub.ComputeMoidColumns(v1.ComputeMoidColumnsRequest(orbits=columns))
    assert list(same.distance_au) == [earth.distance_au] * 3
    assert list(same.converged) == [True] * 3
    other = await stub.ComputeMoidColumns(v1.ComputeMoidColumnsRequest(orbits=columns, planet=v1.PLANET_VENUS))
    assert list(other.distance_au) == [venus.distance_au] * 3
    table = earth_moid(Orbits.from_mean_anomaly(**elements))
    assert earth.distance_au == pytest.approx(table.distance_au[0], abs=1e-8)


# MPC, comets' elements: perihelion 5.34 au, far from every planet but Jupiter.
PARABOLIC = {
    "designation": "C/2015 A2",
    "elements": {
        "epoch_tdb_jd": 2457200.5,
        "eccentricity": 1.0,
        "inclination_deg": 109.1696,
        "longitude_of_ascending_node_deg": 258.5042,
        "argument_of_perihelion_deg": 208.8369,
        "perihelion_distance_au": 5.341055,
        "perihelion_time_tdb_jd": 2457236.3353,
    },
}


async def test_a_parabola_is_answered_as_its_neighbours_are(stub):
    objects = [json_format.ParseDict(PARABOLIC, v1.NearEarthObject()) for _ in range(3)]
    for item, e in zip(objects, (1 - 1e-9, 1.0, 1 + 1e-9), strict=True):
        item.elements.eccentricity = e
    reply = await stub.ComputeMoid(v1.ComputeMoidRequest(objects=objects, planets=[v1.PLANET_EARTH, v1.PLANET_JUPITER]))
    for planet in range(2):
        low, middle, high = (row.moids[planet] for row in reply.objects)
        assert middle.converged
        assert middle.distance_au == pytest.approx((low.distance_au + high.distance_au) / 2, abs=1e-12)
    ends = []
    for item in objects:
        answered = await stub.Simulate(v1.SimulateRequest(scenario=v1.Scenario(object=item, duration_days=2000)))
        ends.append(answered.result.baseline_final_state)
    for axis in ("x_au", "y_au", "z_au"):
        low, middle, high = (getattr(state, axis) for state in ends)
        assert middle == pytest.approx((low + high) / 2, abs=1e-11)


async def test_hyperbolas_have_moids_too(stub):
    comet = v1.NearEarthObject(
        elements=v1.OrbitalElements(
            epoch_tdb_jd=EPOCH,
            perihelion_distance_au=0.9,
            eccentricity=3.3,
            inclination_deg=40,
            perihelion_time_tdb_jd=EPOCH,
        )
    )
    reply = await stub.ComputeMoid(v1.ComputeMoidRequest(objects=[comet], planets=list(range(1, 9))))
    assert len(reply.objects[0].moids) == 8
    assert all(math.isfinite(number) for number in numbers(reply))


async def test_bad_moid_requests_name_every_field(stub):
    broken = apophis()
    broken.elements.eccentricity = 1.0
    asked = v1.ComputeMoidRequest(objects=[apophis(), broken], planets=[0, v1.PLANET_MARS, v1.PLANET_MARS])
    error = await refusal(stub.ComputeMoid(asked))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert {violation.field for violation in details(error)["BadRequest"].field_violations} == {
        "objects[1].elements.semi_major_axis_au",
        "objects[1].elements.mean_anomaly_deg",
        "planets[0]",
        "planets[2]",
    }
    for asked in (v1.ComputeMoidRequest(), v1.ComputeMoidRequest(objects=[apophis()] * 1001)):
        error = await refusal(stub.ComputeMoid(asked))
        assert [violation.field for violation in details(error)["BadRequest"].field_violations] == ["objects"]


async def test_health_follows_the_workers(channel):
    await wait_until_serving(channel)


@pytest.mark.parametrize(("content", "cause"), [(None, "No such file"), (b"not a kernel" * 100, "file starts with")])
async def test_a_pod_without_the_kernel_it_was_promised_does_not_start(tmp_path, content, cause):
    kernel = tmp_path / "asteroids.bsp"
    if content:
        kernel.write_bytes(content)
    with pytest.raises(InvalidSettings, match=f"^ORRERY_ASTEROID_KERNEL.*{cause}"):
        async with running(asteroid_kernel=kernel):
            pass
