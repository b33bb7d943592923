# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest

from gateway.neo.units import AU_KM
from gateway.serving.bounds import EPHEMERIS_SPAN_TDB_JD
from gateway.serving.errors import InvalidRequest, OutsideEphemeris
from gateway.simulation import ephemeris
from gateway.simulation.bodies import DEFAULT_REPORTED, Body
from gateway.simulation.decode import read_scenario
from gateway.simulation.nbody import Fidelity, MarsdenLaw
from gateway.simulation.scenario import Branch, PushAxes, Sampling
from gateway.simulation.simulate import simulate
from orrery.inference import v1

EPOCH = 2_461_000.5
NAN, INF = float("nan"), float("inf")


def elliptic():
    return v1.OrbitalElements(
        epoch_tdb_jd=EPOCH,
        semi_major_axis_au=1.3,
        eccentricity=0.2,
        inclination_deg=5.0,
        longitude_of_ascending_node_deg=10.0,
        argument_of_perihelion_deg=20.0,
        mean_anomaly_deg=30.0,
    )


def hyperbolic():
    return v1.OrbitalElements(
        epoch_tdb_jd=EPOCH, perihelion_distance_au=0.8, eccentricity=1.4, perihelion_time_tdb_jd=EPOCH + 40
    )


def request_of(*changes, **fields):
    asked = v1.SimulateRequest(scenario=v1.Scenario(object=v1.NearEarthObject(elements=elliptic()), duration_days=100))
    asked.scenario.changes.extend(changes)
    for name, value in fields.items():
        setattr(asked.scenario, name, value)
    return asked


def impulse(days=10.0, **parts):
    return v1.Change(impulse=v1.Impulse(time_tdb_jd=EPOCH + days, **parts))


def ecliptic(days=10.0, **parts):
    return v1.Change(ecliptic_impulse=v1.EclipticImpulse(time_tdb_jd=EPOCH + days, **parts))


def impactor(**fields):
    return v1.Change(
        impactor=v1.KineticImpactor(**{"time_tdb_jd": EPOCH + 1, "mass_kg": 500.0, "vx_km_s": 6.0, **fields})
    )


def override(**fields):
    return v1.Change(elements=v1.ElementOverride(**fields))


def refused(asked):
    with pytest.raises(InvalidRequest) as caught:
        read_scenario(asked, None)
    return {violation.path: violation.description for violation in caught.value.violations}


def test_the_least_that_can_be_asked():
    question = read_scenario(request_of(), None)
    assert question.duration_d == 100.0
    assert question.changed_state is None
    assert question.forces.fidelity is Fidelity.FAST
    assert set(question.limits_au) == set(DEFAULT_REPORTED)
    assert question.limits_au[Body.EARTH] == 0.2
    assert question.limits_au[Body.JUPITER] == 2.0
    assert question.trajectory_points == 0


def test_everything_that_can_be_asked():
    asked = request_of(
        impulse(radial_km_s=1e-6),
        impactor(beta=0.0),
        v1.Change(mass=v1.MassOverride(mass_kg=1e10)),
        override(eccentricity=0.0),
        fidelity=v1.FIDELITY_AUDIT,
        duration_days=36_525.0,
    )
    asked.scenario.object.non_gravitational.a2_au_d2 = -1e-14
    asked.scenario.output.bodies.extend([v1.BODY_SATURN, v1.BODY_MOON])
    asked.scenario.output.max_distance_au = 1.0
    asked.scenario.output.trajectory_points = 20_000
    asked.scenario.output.check_round_trip = True
    question = read_scenario(asked, None)
    assert question.limits_au == {Body.SATURN: 10.0, Body.MOON: 1.0}
    assert question.forces.a2_au_d2 == -1e-14
    assert question.forces.fidelity is Fidelity.AUDIT
    assert [push.axes for push in question.pushes] == [PushAxes.RADIAL_TRANSVERSE_NORMAL, PushAxes.ECLIPTIC]
    assert question.pushes[1].delta_v_km_s == (0.0, 0.0, 0.0)
    assert np.linalg.norm(question.changed_state[:3]) == pytest.approx(1.3, rel=1e-12)
    assert question.notes[0].startswith("a mass does not change the orbit")
    assert "given" in question.notes[1]


@pytest.mark.parametrize(
    ("changes", "fields", "paths"),
    [
        ([], {"duration_days": 0.0}, ["scenario.duration_days"]),
        ([], {"duration_days": NAN}, ["scenario.duration_days"]),
        ([], {"duration_days": -INF}, ["scenario.duration_days"]),
        ([], {"duration_days": 36_525.001}, ["scenario.duration_days"]),
        ([], {"duration_days": -36_525.001}, ["scenario.duration_days"]),
        ([], {"fidelity": 77}, ["scenario.fidelity"]),
        ([v1.Change()], {}, ["scenario.changes[0].elements"]),
        ([impulse()] * 33, {}, ["scenario.changes"]),
        ([impulse(), impulse(100.1)], {}, ["scenario.changes[1].impulse.time_tdb_jd"]),
        ([impulse(), impulse(-0.1)], {}, ["scenario.changes[1].impulse.time_tdb_jd"]),
        ([impulse(0.1)], {"duration_days": -5.0}, ["scenario.changes[0].impulse.time_tdb_jd"]),
        ([impulse(normal_km_s=NAN)], {}, ["scenario.changes[0].impulse.normal_km_s"]),
        ([impulse(normal_km_s=-100.1)], {}, ["scenario.changes[0].impulse.normal_km_s"]),
        ([impactor()], {}, ["scenario.changes[0].impactor"]),
        ([override(eccentricity=0.1), override()], {}, ["scenario.changes[1].elements"]),
        ([v1.Change(mass=v1.MassOverride(mass_kg=1))] * 2, {}, ["scenario.changes[1].mass"]),
        ([v1.Change(mass=v1.MassOverride())], {}, ["scenario.changes[0].mass.mass_kg"]),
        (
            [override(eccentricity=1.0)],
            {},
            ["scenario.changes[0].elements.mean_anomaly_deg", "scenario.changes[0].elements.semi_major_axis_au"],
        ),
        (
            [impulse(), override(eccentricity=1.5)],
            {},
            ["scenario.changes[1].elements.semi_major_axis_au", "scenario.changes[1].elements.mean_anomaly_deg"],
        ),
        ([override(inclination_deg=180.1)], {}, ["scenario.changes[0].elements.inclination_deg"]),
        ([override(mean_anomaly_deg=INF)], {}, ["scenario.changes[0].elements.mean_anomaly_deg"]),
        ([override(eccentricity=0.99995)], {}, ["scenario.changes[0].elements.eccentricity"]),
        ([override(perihelion_time_tdb_jd=1.1e8)], {}, ["scenario.changes[0].elements.perihelion_time_tdb_jd"]),
        ([ecliptic(x_km_s=NAN)], {}, ["scenario.changes[0].ecliptic_impulse.x_km_s"]),
        ([ecliptic(z_km_s=100.1)], {}, ["scenario.changes[0].ecliptic_impulse.z_km_s"]),
        ([impulse(), ecliptic(101.0)], {}, ["scenario.changes[1].ecliptic_impulse.time_tdb_jd"]),
        (
            [v1.Change(ecliptic_impulse=v1.EclipticImpulse(x_km_s=1.0))],
            {},
            ["scenario.changes[0].ecliptic_impulse.time_tdb_jd"],
        ),
    ],
)
def test_every_bound_is_kept_and_named(changes, fields, paths):
    assert sorted(refused(request_of(*changes, **fields))) == sorted(paths)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"trajectory_points": 1}, "scenario.output.trajectory_points"),
        ({"trajectory_points": 20_001}, "scenario.output.trajectory_points"),
        ({"max_distance_au": 0.0}, "scenario.output.max_distance_au"),
        ({"max_distance_au": 1.01}, "scenario.output.max_distance_au"),
        ({"max_distance_au": NAN}, "scenario.output.max_distance_au"),
        ({"bodies": [v1.BODY_EARTH, 0]}, "scenario.output.bodies[1]"),
        ({"bodies": [11]}, "scenario.output.bodies[0]"),
        ({"sampling": 3}, "scenario.output.sampling"),
    ],
)
def test_output_options_are_bounded(fields, path):
    asked = request_of()
    asked.scenario.output.CopyFrom(v1.OutputOptions(**fields))
    assert list(refused(asked)) == [path]


def test_all_that_is_wrong_is_said_at_once():
    asked = request_of(
        impulse(1e4), impactor(), override(eccentricity=1.5, semi_major_axis_au=2), duration_days=50, fidelity=9
    )
    asked.scenario.object.elements.eccentricity = 1.0
    asked.scenario.output.trajectory_points = 1
    assert set(refused(asked)) == {
        "scenario.changes[0].impulse.time_tdb_jd",
        "scenario.changes[1].impactor",
        "scenario.changes[2].elements.semi_major_axis_au",
        "scenario.changes[2].elements.mean_anomaly_deg",
        "scenario.object.elements.semi_major_axis_au",
        "scenario.object.elements.mean_anomaly_deg",
        "scenario.fidelity",
        "scenario.output.trajectory_points",
    }


def test_nothing_at_all_is_refused():
    assert list(refused(v1.SimulateRequest())) == ["scenario"]
    assert set(refused(v1.SimulateRequest(scenario=v1.Scenario(duration_days=1)))) == {"scenario.object"}
    empty = v1.Scenario(object=v1.NearEarthObject(designation="x"), duration_days=1)
    assert set(refused(v1.SimulateRequest(scenario=empty))) == {"scenario.object.elements"}


def test_a_phase_is_needed():
    asked = request_of()
    asked.scenario.object.elements.ClearField("mean_anomaly_deg")
    assert list(refused(asked)) == ["scenario.object.elements.mean_anomaly_deg"]


@pytest.mark.parametrize(
    ("epoch", "days", "path"),
    [
        (EPHEMERIS_SPAN_TDB_JD[1], 1.0, "scenario.duration_days"),
        (EPHEMERIS_SPAN_TDB_JD[0], -1.0, "scenario.duration_days"),
        # Where ASSIST would read beyond its tables.
        (EPHEMERIS_SPAN_TDB_JD[1], -1.0, "scenario.object.elements.epoch_tdb_jd"),
        (EPHEMERIS_SPAN_TDB_JD[1] - 1.0, 1.0, "scenario.duration_days"),
    ],
)
def test_times_outside_the_ephemeris_are_out_of_range(epoch, days, path):
    asked = request_of(duration_days=days)
    asked.scenario.object.elements.epoch_tdb_jd = epoch
    with pytest.raises(OutsideEphemeris) as caught:
        read_scenario(asked, None)
    assert caught.value.violation.path == path
    assert caught.value.span_tdb_jd == EPHEMERIS_SPAN_TDB_JD


@pytest.mark.parametrize(
    "physical",
    [
        {"mass_kg": 1e9},
        {"diameter_km": 0.1},
        {"absolute_magnitude_h": 22.0},
    ],
)
def test_an_impactor_needs_something_to_push(physical):
    asked = request_of(impactor())
    asked.scenario.object.physical.CopyFrom(v1.PhysicalParameters(**physical))
    (push,) = read_scenario(asked, None).pushes
    assert push.delta_v_km_s[0] > 0


def test_an_impactor_may_not_give_more_than_an_impulse_may():
    asked = request_of(impactor(mass_kg=1e9), v1.Change(mass=v1.MassOverride(mass_kg=10.0)))
    assert list(refused(asked)) == ["scenario.changes[0].impactor"]


def test_an_override_to_a_hyperbola_needs_its_own_size_and_phase():
    asked = request_of(
        override(eccentricity=1.5, perihelion_distance_au=0.5, perihelion_time_tdb_jd=EPOCH + 10), duration_days=10
    )
    changed = read_scenario(asked, None).changed_state
    energy = changed[3:] @ changed[3:] / 2 - 0.00029591220828411956 / np.linalg.norm(changed[:3])
    assert energy > 0


def test_a_state_goes_in_to_the_last_bit_and_can_be_overridden():
    state = v1.StateVector(
        epoch_tdb_jd=EPOCH, x_au=1.1, y_au=-0.3, z_au=0.05, vx_au_d=0.004, vy_au_d=0.015, vz_au_d=0.001
    )
    asked = request_of(override(inclination_deg=0.0))
    asked.scenario.object.state.CopyFrom(state)
    question = read_scenario(asked, None)
    assert tuple(question.baseline_state) == (1.1, -0.3, 0.05, 0.004, 0.015, 0.001)
    assert abs(question.changed_state[2]) < 1e-15
    assert np.linalg.norm(question.changed_state[:3]) == pytest.approx(np.linalg.norm(question.baseline_state[:3]))


def test_a_hyperbolic_state_can_be_overridden():
    state = v1.StateVector(epoch_tdb_jd=EPOCH, x_au=1.1, vx_au_d=0.004, vy_au_d=0.03)
    asked = request_of(override(inclination_deg=30.0))
    asked.scenario.object.state.CopyFrom(state)
    question = read_scenario(asked, None)
    speed = np.linalg.norm(question.changed_state[3:])
    assert speed == pytest.approx(np.linalg.norm(question.baseline_state[3:]), rel=1e-10)


def test_barycentric_icrf_states_are_turned():
    at = np.array([EPOCH - 2_451_545.0])
    earth = ephemeris.states(Body.EARTH, at)[0]
    names = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")
    beyond = earth + np.array([0.1, 0, 0, 0, 0, 0])
    asked = request_of()
    asked.scenario.object.state.CopyFrom(
        v1.StateVector(
            epoch_tdb_jd=EPOCH,
            frame=v1.FRAME_ICRF,
            origin=v1.ORIGIN_SOLAR_SYSTEM_BARYCENTER,
            **dict(zip(names, beyond, strict=True)),
        )
    )
    relative = read_scenario(asked, None).baseline_state - ephemeris.heliocentric_ecliptic_states(Body.EARTH, at)[0]
    np.testing.assert_allclose(relative, [0.1, 0, 0, 0, 0, 0], atol=1e-15)


def test_a_start_within_a_body_is_refused():
    at = np.array([EPOCH - 2_451_545.0])
    earth = ephemeris.heliocentric_ecliptic_states(Body.EARTH, at)[0] + np.array([1000 / AU_KM, 0, 0, 0.001, 0, 0])
    names = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")
    asked = request_of()
    asked.scenario.object.state.CopyFrom(v1.StateVector(epoch_tdb_jd=EPOCH, **dict(zip(names, earth, strict=True))))
    assert refused(asked) == {"scenario.object": "starts within the mean radius of EARTH"}


def test_hyperbolas_are_followed():
    asked = request_of()
    asked.scenario.object.elements.CopyFrom(hyperbolic())
    assert np.isfinite(read_scenario(asked, None).baseline_state).all()


def test_an_impulse_along_the_ecliptic_axes_is_one():
    (push,) = read_scenario(request_of(ecliptic(x_km_s=1.0, y_km_s=-2.0, z_km_s=100.0)), None).pushes
    assert push.axes is PushAxes.ECLIPTIC
    assert push.delta_v_km_s == (1.0, -2.0, 100.0)
    assert push.time_d == EPOCH + 10.0 - 2_451_545.0


@pytest.mark.parametrize(("asked", "expected"), [(0, Sampling.EVEN), (1, Sampling.EVEN), (2, Sampling.ADAPTIVE)])
def test_sampling_is_even_unless_asked_otherwise(asked, expected):
    request = request_of()
    request.scenario.output.sampling = asked
    assert read_scenario(request, None).sampling is expected


def test_a_new_size_that_puts_the_perihelion_into_nothing_is_named_by_itself():
    asked = request_of(override(semi_major_axis_au=1e-3))
    asked.scenario.object.elements.eccentricity = 0.95
    what = "makes the perihelion distance 5e-05 au, outside [0.0001, 100]"
    assert refused(asked) == {"scenario.changes[0].elements.semi_major_axis_au": what}


def test_a_mean_anomaly_next_to_a_parabola_is_refused_by_path():
    asked = request_of(override(perihelion_distance_au=1.8, mean_anomaly_deg=1.0))
    asked.scenario.object.elements.eccentricity = 1 - 1e-12
    asked.scenario.object.elements.perihelion_distance_au = 1.0
    asked.scenario.object.elements.perihelion_time_tdb_jd = EPOCH
    assert list(refused(asked)) == ["scenario.changes[0].elements.mean_anomaly_deg"]
    asked.scenario.ClearField("changes")
    asked.scenario.object.elements.mean_anomaly_deg = 1.0
    assert list(refused(asked)) == ["scenario.object.elements.mean_anomaly_deg"]


@pytest.mark.parametrize("velocity", [{}, {"vx_au_d": 0.01}, {"vx_au_d": -1e-170, "vz_au_d": 1e-250}])
def test_a_state_without_angular_momentum_is_no_orbit(velocity):
    asked = request_of(override(inclination_deg=30.0))
    asked.scenario.object.state.CopyFrom(v1.StateVector(epoch_tdb_jd=EPOCH, x_au=1.0, **velocity))
    assert list(refused(asked)) == ["scenario.object.state"]


def test_an_orbit_within_the_sun_is_refused_where_it_starts():
    asked = request_of()
    asked.scenario.object.elements.semi_major_axis_au = 0.002
    assert refused(asked) == {"scenario.object": "starts within the mean radius of SUN"}
    asked = request_of(override(semi_major_axis_au=0.002))
    assert refused(asked) == {"scenario.changes[0].elements": "starts within the mean radius of SUN"}


@pytest.mark.parametrize("changed", [False, True])
def test_an_orbit_into_the_sun_hits_it(changed):
    """Perihelion at 0.002 au, half the Sun's radius, in 30 days."""
    into = {"perihelion_distance_au": 0.002, "eccentricity": 0.99, "perihelion_time_tdb_jd": EPOCH + 30}
    asked = request_of(*([override(**into)] if changed else []))
    if not changed:
        asked.scenario.object.elements.CopyFrom(v1.OrbitalElements(epoch_tdb_jd=EPOCH, **into))
    question = read_scenario(asked, None)
    assert any("inside the Sun" in note for note in question.notes)
    went = simulate(question, lambda _: None).branches[Branch.CHANGED if changed else Branch.BASELINE]
    assert went.approaches[-1].body is Body.SUN
    assert went.approaches[-1].impact.time_d == pytest.approx(EPOCH + 30 - 2_451_545.0, abs=0.1)
    assert 500.0 < went.approaches[-1].impact.relative_velocity_km_s < 650.0
    assert went.final_state is None
    assert not any("inside the Sun" in note for note in read_scenario(request_of(), None).notes)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_a_body_that_cannot_be_is_named_once_with_an_impactor(bad):
    for name in ("absolute_magnitude_h", "albedo", "diameter_km", "density_kg_m3", "mass_kg"):
        asked = request_of(impactor())
        asked.scenario.object.physical.absolute_magnitude_h = 20.0
        setattr(asked.scenario.object.physical, name, bad)
        assert list(refused(asked)) == [f"scenario.object.physical.{name}"]


def test_a_comet_falls_under_marsdens_law_by_its_standard_values():
    """Each field that is given replaces its standard value; without the law the inverse square holds."""
    asked = request_of()
    asked.scenario.object.non_gravitational.a2_au_d2 = 1e-12
    assert read_scenario(asked, None).forces.marsden is None
    asked.scenario.object.non_gravitational.marsden.SetInParent()
    standard = read_scenario(asked, None).forces
    assert standard.marsden == MarsdenLaw(alpha=0.1112620426, r0_au=2.808, m=2.15, n=5.093, k=4.6142)
    assert "Marsden" in standard.description
    asked.scenario.object.non_gravitational.marsden.k = 0.0
    assert read_scenario(asked, None).forces.marsden == MarsdenLaw(k=0.0)
    asked.scenario.object.non_gravitational.marsden.r0_au = 0.0
    with pytest.raises(InvalidRequest, match="r0_au"):
        read_scenario(asked, None)


def test_marsdens_law_with_the_inverse_squares_values_is_the_inverse_square():
    asked = request_of(duration_days=300.0)
    pushed = asked.scenario.object.non_gravitational
    pushed.a2_au_d2 = 1e-10
    plain = final_position(asked)
    pushed.marsden.MergeFrom(v1.MarsdenLaw(alpha=1.0, r0_au=1.0, m=2.0, k=0.0))
    assert final_position(asked) == pytest.approx(plain, rel=1e-14)
    pushed.marsden.Clear()
    pushed.marsden.SetInParent()
    assert np.linalg.norm(final_position(asked) - plain) * AU_KM > 1.0


def final_position(asked):
    outcome = simulate(read_scenario(asked, None), lambda _: None)
    return outcome.branches[Branch.BASELINE].final_state[:3]
