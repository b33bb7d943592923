# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole system through its front door: every question, every refusal."""

import math
import urllib.request

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from scipy.spatial.distance import cdist

from gateway.neo.elements import positions_at_true_anomaly_au
from gateway.serving.orbits import read_orbits
from gateway.serving.validation import Violations
from orrery.inference import InferenceError, methods, v1
from tests.objects import eros, named_objects

SERVICES = [f"orrery.inference.v1.{name}Service" for name in ("Prediction", "Anomaly", "Simulation", "Feedback")]


def test_the_network_and_the_rule_answer_about_apophis(client):
    reply = client.predict([named_objects()["(99942) Apophis"]])
    said = reply.predictions[0]
    assert said.designation == "(99942) Apophis"
    assert said.pha_probability > 0.9
    assert said.potentially_hazardous
    assert said.orbit_class == v1.ORBIT_CLASS_ATEN
    assert sum(c.probability for c in said.class_probabilities) == pytest.approx(1.0, abs=1e-5)
    # JPL: 0.00036 au at this epoch.
    assert said.definition.earth_moid_au == pytest.approx(0.00036, abs=1e-5)
    assert said.definition.potentially_hazardous
    assert said.definition.orbit_class == v1.ORBIT_CLASS_ATEN
    assert reply.model.name == "neo_classifier"
    assert reply.model.version > 0
    assert reply.model.variant
    assert reply.model.training_data


def test_eros_is_no_hazard(client):
    said = client.predict([eros()]).predictions[0]
    assert said.pha_probability < 0.1
    assert not said.potentially_hazardous
    assert said.orbit_class == said.definition.orbit_class == v1.ORBIT_CLASS_AMOR
    # JPL SBDB 2020, in the same row as the elements: 0.148623.
    assert said.definition.earth_moid_au == pytest.approx(0.148623, abs=1e-6)


def test_a_main_belt_orbit_is_told_why_it_is_no_neo(client):
    belt = eros()
    belt.elements.semi_major_axis_au = 2.7
    belt.elements.eccentricity = 0.1
    definition = client.predict([belt]).predictions[0].definition
    assert definition.orbit_class == v1.ORBIT_CLASS_OTHER
    assert "1.3" in definition.orbit_class_note


def test_outside_the_earth_table_the_moid_is_left_unsaid(client):
    early = eros()
    early.elements.epoch_tdb_jd = 2305447.5
    definition = client.predict([early]).predictions[0].definition
    assert not definition.HasField("earth_moid_au")
    assert not definition.HasField("potentially_hazardous")
    assert definition.orbit_class == v1.ORBIT_CLASS_AMOR


def test_anomalies_are_scored_and_explained(client):
    named = named_objects()
    reply = client.score_anomalies([named["2020 BZ12"], named["(433) Eros"], named["2006 RH120"]], explain=True)
    retrograde, ordinary, minimoon = reply.scores
    assert retrograde.anomalous
    assert retrograde.population_percentile > 99
    assert "retrograde" in retrograde.tags
    assert "minimoon-like" in minimoon.tags
    assert not ordinary.tags
    for said in reply.scores:
        assert said.base_score + sum(c.contribution for c in said.contributions) == pytest.approx(said.score, abs=1e-9)
        sizes = [abs(c.contribution) for c in said.contributions]
        assert sizes == sorted(sizes, reverse=True)


def brute_force_moid_au(item, planet):
    """The smallest distance of many points on one orbit to many on the other."""
    violations = Violations()
    orbits = read_orbits([item, v1.NearEarthObject(elements=planet)], violations)
    anomalies = np.linspace(0, 360, 3_000)
    one, other = (
        positions_at_true_anomaly_au(orbits[np.full(len(anomalies), row)], anomalies) for row in range(len(orbits))
    )
    return cdist(one, other).min()


def test_moids_are_computed_against_several_planets(client):
    reply = client.compute_moid([eros()], planets=[v1.PLANET_EARTH, v1.PLANET_MARS], certify=True)
    earth, mars = reply.objects[0].moids
    assert earth.distance_au == pytest.approx(0.148623, abs=1e-6)
    assert earth.converged
    assert earth.certified
    assert mars.planet == v1.PLANET_MARS
    assert mars.distance_au == pytest.approx(brute_force_moid_au(eros(), mars.reference_orbit), abs=1e-4)
    assert earth.reference_orbit.eccentricity == pytest.approx(0.0167, abs=0.001)


def test_a_push_moves_apophis_encounter(client):
    scenario = v1.Scenario(
        object=named_objects()["(99942) Apophis"],
        changes=[v1.Change(impulse=v1.Impulse(time_tdb_jd=2461406.5, transverse_km_s=1e-6))],
        duration_days=1300,
        output=v1.OutputOptions(bodies=[v1.BODY_EARTH], max_distance_au=0.01),
    )
    result = client.simulate(scenario)
    (as_it_is,), (pushed,) = result.baseline, result.changed
    # CNEOS: 38,012.7 km at JD 2462240.40709 TDB; without the asteroids' pull a few km away from it.
    assert as_it_is.distance_km == pytest.approx(38012.7, abs=20)
    assert as_it_is.time_tdb_jd == pytest.approx(2462240.407092, abs=10 / 86400)
    assert abs(pushed.distance_km - as_it_is.distance_km) > 100
    assert result.provenance.ephemeris.startswith("DE440")


def test_a_simulation_streams_its_progress_and_ends_with_the_result(client):
    scenario = v1.Scenario(
        object=named_objects()["(99942) Apophis"], duration_days=1300, output=v1.OutputOptions(trajectory_points=50)
    )
    updates = list(client.stream_simulate(scenario))
    kinds = [update.WhichOneof("update") for update in updates]
    assert kinds[-1] == "result"
    assert "progress" in kinds
    assert "close_approach" in kinds
    assert sum(len(update.trajectory.time_tdb_jd) for update in updates) == 50
    done = [update.progress.fraction_done for update in updates if update.WhichOneof("update") == "progress"]
    assert done == sorted(done)
    assert all(0 <= fraction <= 1 for fraction in done)


def columns(count):
    return v1.OrbitColumns(
        epoch_tdb_jd=[2459000.5],
        semi_major_axis_au=[1.45804572908104] * count,
        eccentricity=[0.222951264743428] * count,
        inclination_deg=[10.8305412182992] * count,
        longitude_of_ascending_node_deg=[304.299325900044] * count,
        argument_of_perihelion_deg=[178.882295922722] * count,
        absolute_magnitude_h=[10.4] * count,
    )


def test_columns_say_what_rows_say(stack, client):
    row = client.predict([eros()]).predictions[0]
    scored = client.score_anomalies([eros()]).scores[0]
    with grpc.insecure_channel(stack["front"]) as channel:
        predicted = v1.PredictionServiceStub(channel).PredictColumns(
            v1.PredictColumnsRequest(orbits=columns(3)), timeout=20
        )
        unusual = v1.AnomalyServiceStub(channel).ScoreAnomalyColumns(
            v1.ScoreAnomalyColumnsRequest(orbits=columns(3)), timeout=20
        )
        moids = v1.SimulationServiceStub(channel).ComputeMoidColumns(
            v1.ComputeMoidColumnsRequest(orbits=columns(3)), timeout=20
        )
    assert list(predicted.pha_probability) == pytest.approx([row.pha_probability] * 3)
    assert list(predicted.earth_moid_au) == pytest.approx([row.definition.earth_moid_au] * 3)
    assert list(predicted.definition_orbit_class) == [v1.ORBIT_CLASS_AMOR] * 3
    assert list(unusual.score) == pytest.approx([scored.score] * 3)
    assert list(moids.distance_au) == pytest.approx([row.definition.earth_moid_au] * 3, abs=1e-9)


def broken(**elements):
    item = eros()
    for field, value in elements.items():
        setattr(item.elements, field, value)
    return item


BAD_OBJECTS = [
    (broken(eccentricity=math.nan), "eccentricity"),
    (broken(inclination_deg=math.inf), "inclination_deg"),
    (broken(eccentricity=-0.01), "eccentricity"),
    (broken(semi_major_axis_au=-1.4), "semi_major_axis_au"),
    (broken(eccentricity=1.4), "semi_major_axis_au"),
    (broken(argument_of_perihelion_deg=400), "argument_of_perihelion_deg"),
    (broken(epoch_tdb_jd=0), "epoch_tdb_jd"),
]


@pytest.mark.parametrize(("item", "field"), BAD_OBJECTS)
@pytest.mark.parametrize("method", ["predict", "score_anomalies"])
def test_bad_objects_are_refused_by_the_field(client, method, item, field):
    with pytest.raises(InferenceError) as refusal:
        getattr(client, method)([eros(), item])
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.reason == "INVALID_FIELD"
    assert f"objects[1].elements.{field}" in {v.path for v in refusal.value.violations}
    assert refusal.value.request_id


@pytest.mark.parametrize("method", [methods.PREDICT, methods.SCORE_ANOMALIES, methods.COMPUTE_MOID])
@pytest.mark.parametrize("count", [0, 1_001])
def test_batches_are_bounded(stack, method, count):
    request = method.request(objects=[eros()] * count)
    with grpc.insecure_channel(stack["front"]) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(method.path, method.request.SerializeToString, method.reply.FromString)(request, timeout=20)
    refusal = InferenceError(error.value)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [v.path for v in refusal.violations] == ["objects"]


@pytest.mark.parametrize("method", ["predict", "score_anomalies"])
@pytest.mark.parametrize(
    ("selector", "path"),
    [
        (v1.ModelSelector(version=7), "model.version"),
        (v1.ModelSelector(version_label="nobody"), "model.version_label"),
    ],
)
def test_unknown_models_are_not_found(client, method, selector, path):
    with pytest.raises(InferenceError) as refusal:
        getattr(client, method)([eros()], model=selector)
    assert refusal.value.code is grpc.StatusCode.NOT_FOUND
    assert refusal.value.reason == "MODEL_NOT_FOUND"
    assert [v.path for v in refusal.value.violations] == [path]


@pytest.mark.parametrize("method", ["predict", "score_anomalies"])
def test_a_version_can_be_pinned(client, method):
    version = getattr(client, method)([eros()]).model.version
    assert getattr(client, method)([eros()], model=v1.ModelSelector(version=version)).model.version == version


def test_a_bad_scenario_is_refused_through_the_front(client):
    scenario = v1.Scenario(object=eros(), duration_days=math.nan, changes=[v1.Change()])
    with pytest.raises(InferenceError) as refusal:
        client.simulate(scenario)
    assert {v.path for v in refusal.value.violations} >= {"scenario.duration_days", "scenario.changes[0].elements"}


def test_a_time_outside_the_ephemeris_names_the_span(client):
    late = eros()
    late.elements.epoch_tdb_jd = 2688900.5
    with pytest.raises(InferenceError) as refusal:
        client.simulate(v1.Scenario(object=late, duration_days=3650))
    assert refusal.value.code is grpc.StatusCode.OUT_OF_RANGE
    assert refusal.value.reason == "OUTSIDE_EPHEMERIS"


@pytest.mark.parametrize("pod", ["front", "anomaly", "simulation"])
def test_every_pod_serves_health_and_reflection(stack, pod):
    with grpc.insecure_channel(stack[pod]) as channel:
        served = set(ProtoReflectionDescriptorDatabase(channel).get_services())
        expected = SERVICES if pod == "front" else [f"orrery.inference.v1.{pod.capitalize()}Service"]
        assert served >= {*expected, "grpc.health.v1.Health"}
        for service in ("", *expected):
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_describes_the_contract(stack):
    with grpc.insecure_channel(stack["front"]) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        assert pool.FindServiceByName(SERVICES[0]).methods_by_name["Predict"].input_type.name == "PredictRequest"


@pytest.mark.parametrize("pod", ["front", "anomaly", "simulation"])
def test_every_pod_shows_its_metrics(stack, client, pod):
    client.predict([eros()])
    client.score_anomalies([eros()])
    client.compute_moid([eros()])
    with urllib.request.urlopen(f"http://{stack[f'{pod}_metrics']}/metrics", timeout=5) as reply:
        shown = reply.read().decode()
    assert "grpc_server_handling_seconds_bucket" in shown
    assert 'grpc_code="OK"' in shown
