# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is asked, within bounds or not: a refusal that names fields of the request, or a reply of finite numbers."""

import math

from google.protobuf.message import Message
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gateway.serving.errors import InvalidRequest, OutsideEphemeris
from gateway.simulation.decode import read_scenario
from gateway.simulation.encode import result_message, update_message
from gateway.simulation.scenario import TrajectoryPiece
from gateway.simulation.simulate import simulate
from orrery.inference import v1
from tests.example_counts import one_in

EPOCH = 2_461_000.5
ANGLE = st.floats(0.0, 360.0)
BODIES = st.lists(st.sampled_from(v1.Body.values()[1:]), max_size=4)
SHORT = st.one_of(st.floats(-40.0, 40.0), st.sampled_from([1e-12, -1e-6, 5e-324]))
# A number that no field allows now and then, and one at the very edge.
WILD = st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1.0, 0.0])


def or_wild(strategy):
    """Mostly the strategy; one in sixty is a wild number."""
    return st.integers(0, 59).flatmap(lambda draw: WILD if draw == 0 else strategy)


epochs = or_wild(
    st.integers(0, 5).flatmap(lambda draw: st.floats(2_287_184.5, 2_688_976.5) if draw == 0 else st.just(EPOCH))
)
eccentricities = or_wild(st.one_of(st.floats(0.0, 0.999), st.floats(1.0, 20.0), st.sampled_from([0.0, 1 - 1e-12, 1.0])))
elements = st.builds(
    v1.OrbitalElements,
    epoch_tdb_jd=epochs,
    perihelion_distance_au=st.floats(1e-4, 6.0),
    eccentricity=eccentricities,
    inclination_deg=st.one_of(st.floats(0.0, 180.0), st.sampled_from([0.0, 180.0])),
    longitude_of_ascending_node_deg=ANGLE,
    argument_of_perihelion_deg=ANGLE,
    perihelion_time_tdb_jd=st.floats(EPOCH - 400.0, EPOCH + 400.0),
)
ellipses = st.builds(
    v1.OrbitalElements,
    epoch_tdb_jd=epochs,
    semi_major_axis_au=or_wild(st.floats(1e-3, 4.0)),
    eccentricity=st.floats(0.0, 0.999),
    inclination_deg=st.floats(0.0, 180.0),
    mean_anomaly_deg=st.floats(-360.0, 360.0),
)
coordinates = or_wild(st.one_of(st.floats(-3.0, 3.0), st.sampled_from([0.0, 1e-9, 2000.0])))
speeds = or_wild(st.one_of(st.floats(-0.03, 0.03), st.sampled_from([0.0, 1.0])))
states = st.builds(
    v1.StateVector,
    epoch_tdb_jd=epochs,
    **dict.fromkeys(("x_au", "y_au", "z_au"), coordinates),
    **dict.fromkeys(("vx_au_d", "vy_au_d", "vz_au_d"), speeds),
    frame=st.sampled_from(v1.Frame.values()),
    origin=st.sampled_from(v1.Origin.values()),
)
physical = st.builds(v1.PhysicalParameters, mass_kg=or_wild(st.floats(1e-6, 1e22)))
objects = st.one_of(
    st.just(v1.NearEarthObject()),
    st.just(v1.NearEarthObject(elements=v1.OrbitalElements(epoch_tdb_jd=EPOCH))),
    st.builds(v1.NearEarthObject, elements=st.one_of(elements, ellipses), physical=physical),
    st.builds(v1.NearEarthObject, state=states, physical=physical),
)
instants = st.one_of(st.just(EPOCH), st.floats(EPOCH - 40.0, EPOCH + 40.0))
kicks = or_wild(st.one_of(st.floats(-100.0, 100.0), st.floats(-1e-6, 1e-6)))
changes = st.one_of(
    st.builds(
        v1.Impulse, time_tdb_jd=instants, radial_km_s=kicks, transverse_km_s=kicks, normal_km_s=st.floats(-1.0, 1.0)
    ).map(lambda change: v1.Change(impulse=change)),
    st.builds(v1.EclipticImpulse, time_tdb_jd=st.just(EPOCH), x_km_s=kicks, y_km_s=kicks).map(
        lambda change: v1.Change(ecliptic_impulse=change)
    ),
    st.builds(v1.KineticImpactor, time_tdb_jd=st.just(EPOCH), mass_kg=st.floats(1e-6, 1e9), vx_km_s=kicks).map(
        lambda change: v1.Change(impactor=change)
    ),
    st.just(v1.Change()),
    st.builds(v1.MassOverride, mass_kg=or_wild(st.floats(1e-6, 1e22))).map(lambda change: v1.Change(mass=change)),
    st.builds(v1.ElementOverride, eccentricity=eccentricities).map(lambda change: v1.Change(elements=change)),
    st.builds(v1.ElementOverride, perihelion_distance_au=st.floats(1e-4, 2.0), mean_anomaly_deg=ANGLE).map(
        lambda change: v1.Change(elements=change)
    ),
)
outputs = st.builds(
    v1.OutputOptions,
    bodies=BODIES,
    max_distance_au=st.floats(1e-6, 1.0),
    trajectory_points=st.sampled_from([0, 2, 3, 40]),
    sampling=st.sampled_from(v1.Sampling.values()),
    check_round_trip=st.booleans(),
)
requests = st.builds(
    lambda **fields: v1.SimulateRequest(scenario=v1.Scenario(**fields)),
    object=objects,
    changes=st.lists(changes, max_size=3),
    duration_days=or_wild(SHORT),
    fidelity=st.sampled_from(v1.Fidelity.values()),
    output=outputs,
)


def numbers(message):
    """Every floating-point number of a message, with its path."""
    for field, value in message.ListFields():
        items = enumerate(value) if field.is_repeated else [("", value)]
        for row, item in items:
            if isinstance(item, Message):
                yield from ((f"{field.name}{row}.{path}", number) for path, number in numbers(item))
            elif isinstance(item, float):
                yield f"{field.name}{row}", item


def holds(message, path):
    """Whether a path such as scenario.changes[2].impulse.time_tdb_jd is one of the contract's fields, not a oneof."""
    descriptor = message.DESCRIPTOR
    for step in path.split("."):
        name = step.split("[")[0]
        if descriptor is None or name not in descriptor.fields_by_name:
            return False
        descriptor = descriptor.fields_by_name[name].message_type
    return True


@one_in(1, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(asked=requests)
def test_a_refusal_by_path_or_a_reply_of_finite_numbers(asked):
    try:
        scenario = read_scenario(asked, None)
    except InvalidRequest as refusal:
        assert refusal.violations
        assert all(holds(asked, violation.path) for violation in refusal.violations)
        return
    except OutsideEphemeris as refusal:
        assert holds(asked, refusal.violation.path)
        return
    updates = []
    outcome = simulate(scenario, updates.append)
    result = result_message(scenario, outcome, [update for update in updates if isinstance(update, TrajectoryPiece)])
    for message in (result, *(told for update in updates if (told := update_message(update)))):
        assert all(math.isfinite(number) for _, number in numbers(message)), str(message)
    # Nor was anything left out for not being finite.
    assert not any("not finite" in note for note in result.notes)
    assert all(update_message(update) is not None for update in updates)
