# SPDX-License-Identifier: GPL-3.0-or-later
"""EstimateDeflection through a real pod: a made impactor, and Apophis in 2029."""

import contextlib
import math
import multiprocessing
import os
import signal
from functools import partial

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.neo.units import J2000_TDB_JD
from gateway.serving import server
from gateway.simulation import app
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.branch import heliocentric
from gateway.simulation.encode import state_message
from gateway.simulation.nbody import Fidelity
from gateway.simulation.settings import SimulationSettings
from orrery.inference import v1
from tests.unit.simulation.made import START_D, beside, carried

HIT_JD = START_D + J2000_TDB_JD
EARTH_KM = PROPERTIES[Body.EARTH].mean_radius_km
APOPHIS_EPOCH = 2_461_000.5


# One loop for all: they share a pod.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextlib.asynccontextmanager
async def running():
    chosen = SimulationSettings(
        address="127.0.0.1:0", metrics_address="127.0.0.1:0", workers=2, grace_s=1.0, asteroid_kernel=None
    )
    async with (
        server.running(chosen, partial(app.mount, chosen)) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        yield v1.SimulationServiceStub(channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub():
    async with running() as opened:
        yield opened


def impactor(years=3.0):
    """An object that hits Earth at 2029-04-13, not in the middle, known some years before."""
    late = beside(Body.EARTH, (-60_000.0, 12_000.0, 1_000.0), (12.0, -1.5, 0.5))
    state, time_d = carried(late, START_D, START_D - years * 365.25, Fidelity.FAST)
    return v1.NearEarthObject(
        designation="made",
        state=state_message(heliocentric(state, time_d), time_d),
        physical=v1.PhysicalParameters(diameter_km=0.14),
    )


def apophis():
    return v1.NearEarthObject(
        designation="(99942) Apophis",
        elements=v1.OrbitalElements(
            epoch_tdb_jd=APOPHIS_EPOCH,
            semi_major_axis_au=0.9223803199446107,
            eccentricity=0.1911663344303949,
            inclination_deg=3.3409585628721,
            longitude_of_ascending_node_deg=203.8996389609976,
            argument_of_perihelion_deg=126.6728440132719,
            mean_anomaly_deg=312.80546650423054,
        ),
        non_gravitational=v1.NonGravitational(a2_au_d2=-2.90010329254113e-14),
    )


def question(item=None, **fields):
    return v1.EstimateDeflectionRequest(
        **{
            "object": item or impactor(),
            "from_tdb_jd": HIT_JD - 20.0,
            "to_tdb_jd": HIT_JD + 20.0,
            "lead_time_d": [1_000.0, 300.0, 60.0],
            **fields,
        }
    )


async def answered(stub, asked):
    """By kind: encounter, points and pushes by lead time, summary; and all updates."""
    updates = [update async for update in stub.EstimateDeflection(asked)]
    kinds = [update.WhichOneof("update") for update in updates]
    assert kinds[-1] == "summary"
    assert kinds.count("summary") == kinds.count("encounter") == 1
    fractions = [update.progress.fraction_done for update in updates if update.HasField("progress")]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    points = {u.point.lead_time_d: u.point for u in updates if u.HasField("point")}
    pushes = {u.minimum_push.lead_time_d: u.minimum_push for u in updates if u.HasField("minimum_push")}
    (encounter,) = (u.encounter for u in updates if u.HasField("encounter"))
    return encounter, points, pushes, updates[-1].summary


async def simulated(stub, item, push_tdb_jd, rtn_km_s, end_tdb_jd):
    """The encounter with Earth of the pushed object, as the public Simulate has it."""
    epoch = item.state.epoch_tdb_jd or item.elements.epoch_tdb_jd
    asked = v1.SimulateRequest(scenario=v1.Scenario(object=item, duration_days=end_tdb_jd - epoch))
    radial, transverse, normal = rtn_km_s
    asked.scenario.changes.add().impulse.CopyFrom(
        v1.Impulse(time_tdb_jd=push_tdb_jd, radial_km_s=radial, transverse_km_s=transverse, normal_km_s=normal)
    )
    asked.scenario.output.bodies.append(v1.BODY_EARTH)
    changed = (await stub.Simulate(asked)).result.changed
    return min(changed, key=lambda approach: abs(approach.time_tdb_jd - HIT_JD))


async def refusal(stub, asked):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.EstimateDeflection(asked):
            pass
    status = rpc_status.from_call(caught.value)
    fields = set()
    for box in status.details:
        if box.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            box.Unpack(bad)
            fields |= {violation.field for violation in bad.field_violations}
    return caught.value.code(), fields


@pytest.mark.parametrize("direction", ["RADIAL", "TRANSVERSE", "NORMAL", "OPTIMAL"])
async def test_the_smallest_push_clears_by_what_was_asked_for(stub, direction):
    """Propagated by the public Simulate; and a hair less does not."""
    item = impactor()
    asked = question(item, direction=f"PUSH_DIRECTION_{direction}", clearance_km=1_000.0)
    encounter, points, pushes, summary = await answered(stub, asked)
    assert encounter.HasField("impact")
    assert set(points) == set(pushes) == {1_000.0, 300.0, 60.0}
    assert summary.provenance.integrator.startswith("REBOUND")
    for push in pushes.values():
        assert push.search == v1.PUSH_SEARCH_CONVERGED
        assert push.insufficient_push_mm_s < push.push_mm_s
        assert 1_000.0 <= push.clearance_km <= 1_001.0
        assert push.iterations > 0
        rtn = (push.radial_km_s, push.transverse_km_s, push.normal_km_s)
        assert np.linalg.norm(rtn) == pytest.approx(push.push_mm_s * 1e-6)
        met = await simulated(stub, item, push.push_tdb_jd, rtn, HIT_JD + 10.0)
        assert not met.HasField("impact")
        assert met.distance_km - EARTH_KM == pytest.approx(push.clearance_km, abs=0.3)
        assert met.distance_km - EARTH_KM >= 1_000.0 - 0.3
        less = [0.98 * part for part in rtn]
        met = await simulated(stub, item, push.push_tdb_jd, less, HIT_JD + 10.0)
        assert met.HasField("impact") or met.distance_km - EARTH_KM < 1_000.0


async def test_earlier_needs_less(stub):
    _, _, pushes, _ = await answered(stub, question(clearance_km=0.0, direction="PUSH_DIRECTION_OPTIMAL"))
    by_lead = [pushes[lead].push_mm_s for lead in (60.0, 300.0, 1_000.0)]
    assert by_lead == sorted(by_lead, reverse=True)


async def test_the_optimal_direction_moves_farthest(stub):
    points = {
        direction: (await answered(stub, question(direction=f"PUSH_DIRECTION_{direction}")))[1]
        for direction in ("RADIAL", "TRANSVERSE", "NORMAL", "OPTIMAL")
    }
    for lead in (1_000.0, 300.0, 60.0):
        best = points["OPTIMAL"][lead]
        assert math.hypot(best.radial, best.transverse, best.normal) == pytest.approx(1.0)
        others = [points[direction][lead].shift_km_per_mm_s for direction in ("RADIAL", "TRANSVERSE", "NORMAL")]
        assert best.shift_km_per_mm_s >= max(others) * (1 - 1e-6)
        # The three columns make up the optimum: |J u| with u the singular vector.
        columns = [
            (points[d][lead].xi_km_per_mm_s, points[d][lead].zeta_km_per_mm_s)
            for d in ("RADIAL", "TRANSVERSE", "NORMAL")
        ]
        assert best.shift_km_per_mm_s == pytest.approx(np.linalg.svd(np.array(columns).T)[1][0], rel=1e-3)


async def test_small_pushes_are_linear_and_agree_with_simulate(stub):
    """xi and zeta of whole propagations, forwards and backwards by 1 mm/s, against the curve made with 0.1 mm/s."""
    item = impactor()
    _, points, _, _ = await answered(stub, question(item, push_mm_s=0.1))
    for point in points.values():
        assert point.nonlinearity < 1e-2
        ends = [
            await simulated(stub, item, point.push_tdb_jd, (0.0, sign * 1e-6, 0.0), HIT_JD + 10.0) for sign in (1, -1)
        ]
        xi = 0.5 * (ends[0].b_plane.xi_km - ends[1].b_plane.xi_km)
        zeta = 0.5 * (ends[0].b_plane.zeta_km - ends[1].b_plane.zeta_km)
        shift = math.hypot(xi, zeta)
        assert point.shift_km_per_mm_s == pytest.approx(shift, rel=5e-3)
        assert math.hypot(point.xi_km_per_mm_s - xi, point.zeta_km_per_mm_s - zeta) < 5e-3 * shift


async def test_a_kinetic_impactor(stub):
    item = impactor()
    craft = v1.DeflectingImpactor(mass_kg=600.0, vx_km_s=-4.0, vy_km_s=4.5, beta=3.6)
    _, points, pushes, summary = await answered(
        stub, question(item, impactor=craft, clearance_km=500.0, lead_time_d=[1_000.0])
    )
    mass_kg = 2_000.0 * math.pi / 6 * 140.0**3
    speed_km_s = math.hypot(4.0, 4.5)
    assert points[1_000.0].push_mm_s == pytest.approx(3.6 * 600.0 * speed_km_s / mass_kg * 1e6)
    assert any("2.87" in note for note in summary.notes)
    push = pushes[1_000.0]
    if push.search == v1.PUSH_SEARCH_CONVERGED:
        needed = 3.6 * push.impactor_mass_kg * speed_km_s / mass_kg * 1e6
        assert needed == pytest.approx(push.push_mm_s)
        # Given to Simulate as an impactor of that mass, it clears.
        asked = v1.SimulateRequest(
            scenario=v1.Scenario(object=item, duration_days=HIT_JD + 10 - item.state.epoch_tdb_jd)
        )
        asked.scenario.changes.add().impactor.CopyFrom(
            v1.KineticImpactor(
                time_tdb_jd=push.push_tdb_jd, mass_kg=push.impactor_mass_kg, vx_km_s=-4.0, vy_km_s=4.5, beta=3.6
            )
        )
        changed = (await stub.Simulate(asked)).result.changed
        met = min((a for a in changed if a.body == v1.BODY_EARTH), key=lambda a: abs(a.time_tdb_jd - HIT_JD))
        assert met.distance_km - EARTH_KM == pytest.approx(push.clearance_km, abs=0.3)


async def test_apophis_clears_already_and_is_moved_as_simulate_moves_it(stub):
    """The README's push, 1 mm/s along the motion on 2027-01-01, takes Apophis 213 km farther from Earth."""
    lead = 2_462_240.4 - 2_461_406.5
    asked = question(apophis(), lead_time_d=[lead], clearance_km=1_000.0)
    encounter, points, pushes, _ = await answered(stub, asked)
    assert encounter.distance_km == pytest.approx(38_012.0, abs=30.0)
    point = points[lead]
    met = await simulated(stub, apophis(), point.push_tdb_jd, (0.0, 1e-6, 0.0), HIT_JD + 10.0)
    assert point.distance_km == pytest.approx(met.distance_km, abs=0.05)
    assert 150.0 < point.distance_km - encounter.distance_km < 280.0
    assert pushes[lead].search == v1.PUSH_SEARCH_NOT_NEEDED
    assert pushes[lead].push_mm_s == 0.0
    assert pushes[lead].clearance_km == pytest.approx(encounter.distance_km - EARTH_KM)


async def test_a_push_before_2029_moves_2051_out_of_proportion(stub):
    """The encounter between multiplies what is done to Apophis a thousandfold: the reply says what it did."""
    window = {"from_tdb_jd": 2_470_100.5, "to_tdb_jd": 2_470_500.5}
    _, before, _, _ = await answered(stub, question(apophis(), lead_time_d=[8_800.0], push_mm_s=10.0, **window))
    _, after, _, _ = await answered(stub, question(apophis(), lead_time_d=[7_000.0], push_mm_s=10.0, **window))
    assert after[7_000.0].encountered
    assert after[7_000.0].nonlinearity < 0.1
    point = before[8_800.0]
    assert not point.encountered or point.nonlinearity > 0.1
    assert point.HasField("shift_km_per_mm_s") == point.encountered


async def test_twelve_lead_times_of_our_choice_end_at_the_epoch(stub):
    item = impactor()
    _, points, _, _ = await answered(stub, question(item, lead_time_d=[]))
    assert len(points) == 12
    assert min(points) == pytest.approx(10.0)
    assert max(point.lead_time_d for point in points.values()) == pytest.approx(3 * 365.25, abs=0.2)
    assert min(point.push_tdb_jd for point in points.values()) >= item.state.epoch_tdb_jd


async def test_too_little_allowed_is_no_bracket(stub):
    _, _, pushes, _ = await answered(stub, question(lead_time_d=[60.0], clearance_km=1e6, max_push_mm_s=10.0))
    push = pushes[60.0]
    assert push.search == v1.PUSH_SEARCH_NOT_BRACKETED
    assert not push.HasField("push_mm_s")
    assert not push.HasField("clearance_km")
    assert push.insufficient_push_mm_s == 10.0
    assert push.scanned > 0


async def test_what_cannot_be_is_refused_by_path(stub):
    code = grpc.StatusCode.INVALID_ARGUMENT
    assert await refusal(stub, question(from_tdb_jd=HIT_JD - 300.0, to_tdb_jd=HIT_JD - 280.0)) == (
        code,
        {"from_tdb_jd"},
    )
    assert await refusal(stub, question(lead_time_d=[10.0, 2_000.0])) == (code, {"lead_time_d[1]"})
    assert await refusal(stub, question(lead_time_d=[-5.0, 0.0])) == (code, {"lead_time_d[0]", "lead_time_d[1]"})
    assert await refusal(stub, question(body=v1.BODY_SUN)) == (code, {"body"})
    assert await refusal(stub, v1.EstimateDeflectionRequest()) == (code, {"object", "from_tdb_jd", "to_tdb_jd"})
    backwards = question(from_tdb_jd=HIT_JD + 5.0, to_tdb_jd=HIT_JD - 5.0)
    assert await refusal(stub, backwards) == (code, {"to_tdb_jd"})
    early = question(from_tdb_jd=HIT_JD - 2_000.0)
    assert await refusal(stub, early) == (code, {"from_tdb_jd"})
    late = question(to_tdb_jd=2_688_976.0)
    assert await refusal(stub, late) == (code, {"to_tdb_jd"})
    craft = v1.DeflectingImpactor(mass_kg=600.0)
    both = question(impactor=craft, push_mm_s=2.0, direction=v1.PUSH_DIRECTION_NORMAL)
    assert await refusal(stub, both) == (code, {"impactor.vx_km_s", "push_mm_s", "direction"})
    nothing = question(impactor=v1.DeflectingImpactor(mass_kg=600.0, vx_km_s=1.0))
    nothing.object.ClearField("physical")
    assert await refusal(stub, nothing) == (code, {"impactor"})
    for name in ("push_mm_s", "clearance_km", "max_push_mm_s", "from_tdb_jd"):
        for bad in (math.nan, math.inf, -1.0):
            asked = question()
            setattr(asked, name, bad)
            got, fields = await refusal(stub, asked)
            assert got is code
            assert name in fields


async def test_beyond_the_ephemeris_is_out_of_range(stub):
    item = impactor()
    item.state.epoch_tdb_jd = 2_688_960.0
    asked = question(item, from_tdb_jd=2_688_970.0, to_tdb_jd=2_688_976.4)
    assert await refusal(stub, asked) == (grpc.StatusCode.OUT_OF_RANGE, {"to_tdb_jd"})


async def test_a_worker_that_is_killed_is_replaced_and_the_curve_comes_whole():
    asked = question(clearance_km=100.0, direction="PUSH_DIRECTION_OPTIMAL", fidelity=v1.FIDELITY_PRECISE)
    others = set(multiprocessing.active_children())
    killed = False
    leads = set()
    async with running() as stub:
        async for update in stub.EstimateDeflection(asked):
            if update.HasField("encounter"):
                (victim, _) = set(multiprocessing.active_children()) - others
                os.kill(victim.pid, signal.SIGKILL)
                killed = True
            if update.HasField("minimum_push"):
                leads.add(update.minimum_push.lead_time_d)
    assert killed
    assert leads == {1_000.0, 300.0, 60.0}


async def test_leaving_the_stream_frees_the_workers(stub):
    call = stub.EstimateDeflection(question(lead_time_d=[1_000.0] * 100, clearance_km=100.0))
    while not (await call.read()).HasField("encounter"):
        pass
    call.cancel()
    asked = v1.SimulateRequest(scenario=v1.Scenario(object=apophis(), duration_days=10.0))
    assert (await stub.Simulate(asked, timeout=30.0)).HasField("result")
