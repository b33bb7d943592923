# SPDX-License-Identifier: GPL-3.0-or-later
"""Parabolas and hyperbolas are predicted: by the rule exactly, by the models as far as they go, in every form."""

import grpc
import numpy as np
import pytest

from gateway.front.open_inference_messages import MESSAGES, SERVICE
from orrery.inference import InferenceError, methods, v1
from tests.edges import NEVER_NEAR, ask

pytestmark = pytest.mark.usefixtures("stack")

EPOCH_TDB_JD = 2461000.5
# Perihelion 0.99 au from the Sun and 20 degrees high: the orbit crosses Earth's near its node.
SHAPE = {
    "perihelion_distance_au": 0.99,
    "inclination_deg": 20.0,
    "longitude_of_ascending_node_deg": 30.0,
    "argument_of_perihelion_deg": 10.0,
}
MODEL_COLUMNS = (
    "perihelion_distance_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
    "absolute_magnitude_h",
)


def columns(eccentricity, magnitude_h=18.0):
    count = len(eccentricity)
    shape = {name: [value] * count for name, value in SHAPE.items()}
    return {
        "epoch_tdb_jd": EPOCH_TDB_JD,
        **shape,
        "eccentricity": eccentricity,
        "absolute_magnitude_h": [magnitude_h] * count,
    }


def row(eccentricity, magnitude_h=18.0):
    elements = v1.OrbitalElements(epoch_tdb_jd=EPOCH_TDB_JD, eccentricity=eccentricity, **SHAPE)
    physical = v1.PhysicalParameters(absolute_magnitude_h=magnitude_h)
    return v1.NearEarthObject(elements=elements, physical=physical)


def test_the_rule_has_no_jump_where_e_is_one(client):
    """A straight line through the ends of the sweep holds to 1e-12 au, and no neighbours differ by more than 1e-9."""
    eccentricity = np.linspace(0.999999, 1.000001, 2_001)
    assert 1.0 in eccentricity
    predicted = client.predict_columns(columns(eccentricity))
    moid_au = predicted["earth_moid_au"]
    line = np.linspace(moid_au[0], moid_au[-1], len(moid_au))
    assert np.abs(moid_au - line).max() < 1e-12
    assert np.ptp(moid_au) > 1e-9
    assert predicted["definition_potentially_hazardous"].all()
    assert np.ptp(predicted["pha_probability"]) < 1e-6
    below = eccentricity < 1.0
    assert (predicted["definition_orbit_class"] == np.where(below, v1.ORBIT_CLASS_APOLLO, v1.ORBIT_CLASS_OTHER)).all()
    assert (predicted["orbit_class"] == np.where(below, v1.ORBIT_CLASS_APOLLO, v1.ORBIT_CLASS_UNSPECIFIED)).all()
    scored = client.score_anomaly_columns(columns(eccentricity))
    assert np.ptp(scored["score"]) < 1e-6


@pytest.mark.parametrize("eccentricity", [1.0, 1.2, 3.36, 20.0])
def test_every_form_gives_the_same_answer(client, stack, eccentricity):
    (prediction,) = client.predict([row(eccentricity)]).predictions
    (moid,) = client.compute_moid([row(eccentricity)]).objects
    assert prediction.definition.earth_moid_au == pytest.approx(moid.moids[0].distance_au, abs=1e-11)
    assert prediction.definition.potentially_hazardous == (prediction.definition.earth_moid_au <= 0.05)
    assert prediction.definition.orbit_class == v1.ORBIT_CLASS_OTHER
    assert prediction.definition.orbit_class_note.startswith("the orbit is not bound to the Sun")
    assert prediction.network_note.startswith(
        f"eccentricity {eccentricity:g} is 1 or more: none of the network's classes"
    )
    assert (prediction.orbit_class, list(prediction.class_probabilities)) == (v1.ORBIT_CLASS_UNSPECIFIED, [])
    table = columns([eccentricity])
    (streamed,) = client.stream_predict([table])
    for said in (client.predict_columns(table), streamed):
        assert said["earth_moid_au"][0] == prediction.definition.earth_moid_au
        assert said["definition_potentially_hazardous"][0] == prediction.definition.potentially_hazardous
        assert said["definition_orbit_class"][0] == v1.ORBIT_CLASS_OTHER
        assert said["orbit_class"][0] == v1.ORBIT_CLASS_UNSPECIFIED
        assert said["pha_probability"][0] == pytest.approx(prediction.pha_probability, abs=1e-6)
    body = {"objects": [{"elements": {"epoch_tdb_jd": EPOCH_TDB_JD, "eccentricity": eccentricity, **SHAPE}}]}
    body["objects"][0]["physical"] = {"absolute_magnitude_h": 18.0}
    (by_rest,) = ask(stack["edge"], "/api/predict", body).json()["predictions"]
    assert by_rest["definition"]["earth_moid_au"] == prediction.definition.earth_moid_au
    assert by_rest["network_note"] == prediction.network_note
    with grpc.insecure_channel(stack["front"]) as channel:
        request, reply = MESSAGES["ModelInferRequest"], MESSAGES["ModelInferResponse"]
        infer = channel.unary_unary(f"/{SERVICE.full_name}/ModelInfer", request.SerializeToString, reply.FromString)
        values = [table[name][0] for name in MODEL_COLUMNS]
        orbits = {"name": "orbits", "datatype": "FP64", "shape": [1, 6], "contents": {"fp64_contents": values}}
        outputs = infer(request(model_name="neo_classifier", inputs=[orbits]), timeout=30).outputs
    by_name = {output.name: output.contents for output in outputs}
    assert by_name["pha_probability"].fp32_contents[0] == pytest.approx(prediction.pha_probability, abs=1e-6)


def test_bound_orbits_have_no_note(client):
    (prediction,) = client.predict([row(np.nextafter(1.0, 0.0))]).predictions
    assert prediction.network_note == ""
    assert prediction.orbit_class == v1.ORBIT_CLASS_APOLLO
    assert sum(one.probability for one in prediction.class_probabilities) == pytest.approx(1.0, abs=1e-5)


def test_known_unbound_objects(client):
    """1I/'Oumuamua: Earth MOID 0.0958 au (JPL Small-Body Database), H 22.08. C/2015 A2 stays beyond Jupiter's orbit."""
    oumuamua = v1.NearEarthObject(
        designation="1I",
        elements=v1.OrbitalElements(**NEVER_NEAR["object"]["elements"]),
        physical={"absolute_magnitude_h": 22.08},
    )
    parabola = v1.NearEarthObject(
        designation="C/2015 A2",
        elements=v1.OrbitalElements(
            epoch_tdb_jd=2457200.5,
            eccentricity=1.0,
            inclination_deg=109.1696,
            longitude_of_ascending_node_deg=258.5042,
            argument_of_perihelion_deg=208.8369,
            perihelion_distance_au=5.341055,
            perihelion_time_tdb_jd=2457236.3353,
        ),
        physical={"absolute_magnitude_h": 10.0},
    )
    first, second = (prediction.definition for prediction in client.predict([oumuamua, parabola]).predictions)
    assert first.earth_moid_au == pytest.approx(0.0958, abs=1e-4)
    assert not first.potentially_hazardous
    assert second.earth_moid_au > 5.341055 - 1.02
    assert not second.potentially_hazardous
    scored = client.score_anomalies([oumuamua, parabola], explain=True).scores
    for score in scored:
        assert score.anomalous
        assert "unbound" in score.tags
        pushes = sum(one.contribution for one in score.contributions)
        assert score.base_score + pushes == pytest.approx(score.score, abs=1e-9)


def test_a_state_that_leaves_the_sun_is_predicted(client):
    state = v1.StateVector(epoch_tdb_jd=EPOCH_TDB_JD, x_au=1.0, vy_au_d=0.03, vz_au_d=0.001)
    asked = v1.PredictRequest(objects=[{"state": state, "physical": {"absolute_magnitude_h": 20.0}}])
    (prediction,) = client.ask(methods.PREDICT, asked).predictions
    assert prediction.definition.earth_moid_au < 0.05
    assert prediction.definition.potentially_hazardous
    assert prediction.network_note


def test_a_semi_major_axis_of_an_unbound_orbit_is_refused_by_name(client):
    axis = columns([0.5, 1.0, 1.2])
    del axis["perihelion_distance_au"]
    with pytest.raises(InferenceError) as refusal:
        client.predict_columns({**axis, "semi_major_axis_au": [1.0] * 3})
    assert [violation.path for violation in refusal.value.violations] == [
        "orbits.eccentricity[1]",
        "orbits.eccentricity[2]",
    ]
    assert "give perihelion_distance_au" in refusal.value.violations[0].description
