# SPDX-License-Identifier: GPL-3.0-or-later
"""Every violated field by its path."""

import base64
import math

import numpy as np
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.neo.units import GM_SUN_AU3_D2
from gateway.serving.bounds import NUMBERS, REQUIRED
from gateway.serving.errors import InvalidRequest, status_of
from gateway.serving.orbit_columns import read_columns, read_model_columns
from gateway.serving.orbits import read_absolute_magnitudes, read_model_rows, read_orbit, read_orbits
from gateway.serving.validation import MAX_NAMED_VIOLATIONS, Violations, check
from orrery.inference import v1
from tests.objects import eros


def nothing_more(_message, violations):
    violations.raise_if_any()


def violated(message, read=nothing_more):
    """Paths of what a request violates."""
    violations = Violations()
    check(message, violations)
    with pytest.raises(InvalidRequest) as refusal:
        read(message, violations)
    return {violation.path: violation.description for violation in refusal.value.violations}


def predict(*objects):
    return v1.PredictRequest(objects=objects)


def with_magnitudes(message, violations):
    read_absolute_magnitudes(message.objects, violations)
    read_orbits(message.objects, violations)


ELEMENTS = sorted(NUMBERS["OrbitalElements"])


@pytest.mark.parametrize("field", ELEMENTS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_no_element_may_be_absurd(field, value):
    broken = eros()
    setattr(broken.elements, field, value)
    assert f"objects[1].elements.{field}" in violated(predict(eros(), broken))


@pytest.mark.parametrize("field", sorted(NUMBERS["StateVector"]))
@pytest.mark.parametrize("value", [math.nan, math.inf, -1e308])
def test_no_component_of_a_state_may_be_absurd(field, value):
    state = v1.StateVector(epoch_tdb_jd=2461000.5, x_au=1.0, vy_au_d=0.017)
    setattr(state, field, value)
    assert f"objects[0].state.{field}" in violated(predict(v1.NearEarthObject(state=state)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eccentricity", -0.1),
        ("inclination_deg", 180.1),
        ("inclination_deg", -1.0),
        ("longitude_of_ascending_node_deg", 360.5),
        ("argument_of_perihelion_deg", -0.001),
        ("mean_anomaly_deg", 361.0),
        ("epoch_tdb_jd", 0.0),
        ("epoch_tdb_jd", 2287184.0),
        ("semi_major_axis_au", 0.0),
        ("semi_major_axis_au", -1.5),
    ],
)
def test_elements_beyond_their_bounds_are_named(field, value):
    broken = eros()
    setattr(broken.elements, field, value)
    assert f"objects[0].elements.{field}" in violated(predict(broken))


@pytest.mark.parametrize("field", ["inclination_deg", "longitude_of_ascending_node_deg", "eccentricity"])
def test_the_bounds_themselves_are_inside(field):
    fine = eros()
    setattr(fine.elements, field, 0.0)
    violations = Violations()
    check(predict(fine), violations)
    violations.raise_if_any()


def test_all_violations_are_named_at_once():
    broken = eros()
    broken.elements.eccentricity = -1
    broken.elements.inclination_deg = math.nan
    broken.physical.albedo = 2
    broken.designation = "x" * 65
    assert violated(predict(broken)).keys() == {
        "objects[0].elements.eccentricity",
        "objects[0].elements.inclination_deg",
        "objects[0].physical.albedo",
        "objects[0].designation",
    }


def test_signs_that_contradict_the_eccentricity_are_named():
    broken = eros()
    broken.elements.eccentricity = 1.2
    assert violated(predict(broken), lambda m, v: read_orbits(m.objects, v)).keys() == {
        "objects[0].elements.semi_major_axis_au",
        "objects[0].elements.mean_anomaly_deg",
    }


def test_a_parabola_is_taken_by_perihelion_and_its_time_alone():
    parabola = eros()
    parabola.elements.eccentricity = 1.0
    assert violated(predict(parabola), lambda m, v: read_orbits(m.objects, v)).keys() == {
        "objects[0].elements.semi_major_axis_au",
        "objects[0].elements.mean_anomaly_deg",
    }
    parabola.elements.perihelion_distance_au = 1.1
    parabola.elements.perihelion_time_tdb_jd = 2461000.0
    (e,) = read_orbits([parabola], Violations(), phase=True).eccentricity
    assert e == 1.0


@pytest.mark.parametrize("field", ELEMENTS)
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_reading_goes_on_past_an_absurd_element(field, value):
    item = eros()
    setattr(item.elements, field, value)
    item.elements.inclination_deg = 200
    assert "objects[0].elements.inclination_deg" in violated(predict(item), with_magnitudes)


def test_the_models_take_orbits_of_any_eccentricity():
    comet = eros()
    comet.elements.perihelion_distance_au = 1.1
    comet.elements.perihelion_time_tdb_jd = 2461000.0
    state = v1.StateVector(epoch_tdb_jd=2461000.5, x_au=1.0, vy_au_d=0.03)
    moving = v1.NearEarthObject(state=state, physical=comet.physical)
    for eccentricity in (1.0, 1.2, 20.0):
        comet.elements.eccentricity = eccentricity
        rows = read_model_rows([comet, moving], Violations())
        assert rows[0, :2].tolist() == [1.1, eccentricity]
        assert rows[1, 1] == pytest.approx(0.03**2 / GM_SUN_AU3_D2 - 1.0)
    columns = columns_of(3, semi_major_axis_au=[], perihelion_distance_au=[1.1] * 3, eccentricity=[0.9, 1.0, 20.0])
    assert read_model_columns(columns.orbits, Violations())[:, 1].tolist() == [0.9, 1.0, 20.0]


def test_an_orbit_and_a_magnitude_are_required():
    nothing = v1.NearEarthObject()
    assert violated(predict(nothing), with_magnitudes).keys() >= {
        "objects[0].elements",
        "objects[0].physical.absolute_magnitude_h",
    }


def test_a_phase_is_required_where_it_matters():
    shape = eros()
    shape.elements.ClearField("mean_anomaly_deg")
    violations = Violations()
    with pytest.raises(
        InvalidRequest, match=r"scenario\.object\.elements\.mean_anomaly_deg: is required, or perihelion_time_tdb_jd"
    ):
        read_orbit(shape, violations, "scenario.object")


@pytest.mark.parametrize("count", [0, 1_001])
def test_batches_hold_1_to_1000_objects(count):
    assert violated(predict(*[eros()] * count)).keys() == {"objects"}


def test_unknown_enum_values_are_named():
    request = v1.ComputeMoidColumnsRequest(planet=99)
    request.orbits.SetInParent()
    assert "planet" in violated(request)


def test_a_version_is_positive():
    assert "model.version" in violated(v1.PredictRequest(objects=[eros()], model=v1.ModelSelector(version=-1)))


def test_many_violations_are_counted_not_listed():
    columns = v1.OrbitColumns(eccentricity=[math.nan] * 5_000)
    violations = Violations()
    check(v1.PredictColumnsRequest(orbits=columns), violations)
    with pytest.raises(InvalidRequest) as refusal:
        violations.raise_if_any()
    named = refusal.value.violations
    assert len(named) <= MAX_NAMED_VIOLATIONS
    assert named[0].path == "orbits.eccentricity[0]"
    assert len(named) + refusal.value.unnamed == 5_000


def test_a_refusal_stays_small_however_long_its_words_are():
    """gRPC takes 8 KiB of metadata for sure; more may be refused in the refusal's place."""
    violations = Violations()
    for row in range(5_000):
        violations.add(f"object.uncertainty.covariance.labels[{row}]", "must be a field of a message with a long name")
    with pytest.raises(InvalidRequest) as caught:
        violations.raise_if_any()
    status = status_of(caught.value, "")
    assert 20 < len(caught.value.violations) < MAX_NAMED_VIOLATIONS
    assert len(caught.value.violations) + caught.value.unnamed == 5_000
    assert status.message.endswith(" (and 4999 more fields)")
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert info.metadata["unnamed_fields"] == str(caught.value.unnamed)
    assert len(base64.b64encode(status.SerializeToString())) < 7_500


def columns_of(count, **changed):
    columns = {
        "epoch_tdb_jd": [2461000.5],
        "semi_major_axis_au": [1.5] * count,
        "eccentricity": [0.3] * count,
        "inclination_deg": [5.0] * count,
        "longitude_of_ascending_node_deg": [10.0] * count,
        "argument_of_perihelion_deg": [20.0] * count,
        "absolute_magnitude_h": [20.0] * count,
    }
    return v1.PredictColumnsRequest(orbits=v1.OrbitColumns(**{**columns, **changed}))


def read_columns_of_models(message, violations):
    return read_model_columns(message.orbits, violations)


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"inclination_deg": [5.0]}, "orbits.inclination_deg"),
        ({"absolute_magnitude_h": []}, "orbits.absolute_magnitude_h"),
        ({"semi_major_axis_au": []}, "orbits.perihelion_distance_au"),
        ({"perihelion_distance_au": [1.0] * 3}, "orbits.perihelion_distance_au"),
        ({"epoch_tdb_jd": []}, "orbits.epoch_tdb_jd"),
        ({"epoch_tdb_jd": [2461000.5] * 2}, "orbits.epoch_tdb_jd"),
        ({"eccentricity": [0.1, 1.2, 0.1]}, "orbits.eccentricity[1]"),
        ({"eccentricity": []}, "orbits.eccentricity"),
    ],
)
def test_columns_agree_with_each_other(changed, path):
    assert path in violated(columns_of(3, **changed), read_columns_of_models)


def test_wrong_rows_are_named_whatever_rule_they_break():
    columns = {
        "semi_major_axis_au": [1.5, 1.5, 1500.0, 1.5, -1.0],
        "eccentricity": [0.3, 1.2, 0.3, math.nan, 0.3],
        "absolute_magnitude_h": [99.99, 20.0, 20.0, 20.0, 20.0],
        "argument_of_perihelion_deg": [20.0] * 4,
        "longitude_of_ascending_node_deg": [],
    }
    assert violated(columns_of(5, **columns), read_columns_of_models) == {
        "orbits.semi_major_axis_au[4]": "must be in [0.001, 2000], not -1.0",
        "orbits.eccentricity[1]": "must be less than 1 with semi_major_axis_au: give perihelion_distance_au",
        "orbits.eccentricity[2]": "makes a perihelion distance outside [0.0001, 100] au",
        "orbits.eccentricity[3]": "must be in [0, 20], not nan",
        "orbits.absolute_magnitude_h[0]": "must be in [-5, 40], not 99.99",
        "orbits.argument_of_perihelion_deg": "must hold 5 values, as eccentricity does, not 4",
        "orbits.longitude_of_ascending_node_deg": "is required",
    }


def test_columns_become_orbits():
    message = columns_of(3).orbits
    orbits = read_columns(message, Violations())
    assert orbits.perihelion_distance_au == pytest.approx([1.05] * 3)
    assert orbits.epoch_tdb_jd.tolist() == [2461000.5] * 3
    row = pytest.approx([1.05, 0.3, 5.0, 10.0, 20.0, 20.0, 2461000.5])
    assert read_model_columns(message, Violations()).tolist() == [row] * 3


def test_a_magnitude_follows_from_size_and_albedo():
    sized = eros()
    sized.physical.ClearField("absolute_magnitude_h")
    sized.physical.diameter_km = 1.0
    sized.physical.albedo = 0.14
    violations = Violations()
    # Pravec & Harris 2007: 1 km at albedo 0.14 is H 17.75.
    assert read_absolute_magnitudes([sized], violations) == pytest.approx([17.75], abs=0.01)


NUMBER = st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(-3, 3) | st.just(0.0)


@given(st.dictionaries(st.sampled_from([*ELEMENTS, "perihelion_distance_au"]), NUMBER))
def test_any_elements_are_either_read_or_named(changes):
    item = eros()
    for field, value in changes.items():
        setattr(item.elements, field, value)
    violations = Violations()
    request = predict(item)
    check(request, violations)
    try:
        orbits = read_orbits(request.objects, violations)
    except InvalidRequest as refusal:
        assert all(v.path.startswith("objects[0].elements.") for v in refusal.violations)
    else:
        assert orbits.eccentricity[0] == item.elements.eccentricity
        assert np.isfinite(orbits.perihelion_time_tdb_jd[0])


def test_a_state_and_its_elements_are_one_orbit():
    state = v1.StateVector(epoch_tdb_jd=2461000.5, x_au=1.0, vy_au_d=0.0172, vz_au_d=0.001)
    violations = Violations()
    orbits = read_orbits([v1.NearEarthObject(state=state)], violations)
    assert orbits.inclination_deg[0] == pytest.approx(math.degrees(math.atan(0.001 / 0.0172)))


def test_a_state_that_is_no_orbit_is_named():
    state = v1.StateVector(epoch_tdb_jd=2461000.5, x_au=1.0, vx_au_d=0.01)
    request = predict(v1.NearEarthObject(state=state))
    assert violated(request, lambda m, v: read_orbits(m.objects, v)).keys() == {"objects[0].state"}


COORDINATE = st.floats(-2000, 2000) | st.sampled_from([0.0, 1e-200, 1.0, 0.017])
SPEED = st.floats(-1, 1) | st.sampled_from([0.0, 1e-170, 0.0172])


@given(st.tuples(*[COORDINATE] * 3, *[SPEED] * 3), st.sampled_from([v1.ORIGIN_SUN, v1.ORIGIN_SOLAR_SYSTEM_BARYCENTER]))
def test_any_state_is_either_read_or_named(numbers, origin):
    x, y, z, vx, vy, vz = numbers
    state = v1.StateVector(
        epoch_tdb_jd=2461000.5, x_au=x, y_au=y, z_au=z, vx_au_d=vx, vy_au_d=vy, vz_au_d=vz, origin=origin
    )
    violations = Violations()
    request = predict(v1.NearEarthObject(state=state))
    check(request, violations)
    try:
        orbits = read_orbits(request.objects, violations)
    except InvalidRequest as refusal:
        assert all(v.path.startswith("objects[0].state") for v in refusal.violations)
    else:
        assert np.isfinite(orbits.perihelion_distance_au[0])
        assert orbits.perihelion_distance_au[0] > 0


def test_a_perihelion_beyond_all_time_is_named():
    item = eros()
    item.elements.perihelion_distance_au = 1.0
    item.elements.eccentricity = 1 - 1e-12
    item.elements.mean_anomaly_deg = 90.0
    path = "objects[0].elements.mean_anomaly_deg"
    assert violated(predict(item), lambda m, v: read_orbits(m.objects, v)).keys() == {path}


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (v1.NearEarthObject(), {"elements": "is required, or state"}),
        (v1.OrbitalElements(epoch_tdb_jd=2461000.5), {"semi_major_axis_au": "is required, or perihelion_distance_au"}),
        (v1.Change(), {"elements": "is required, or one of impulse, impactor, mass, ecliptic_impulse"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_choice_that_was_not_made_is_named_by_fields_that_can_be_set(message, found):
    violations = Violations()
    check(message, violations)
    with pytest.raises(InvalidRequest) as refusal:
        violations.raise_if_any()
    assert {violation.path: violation.description for violation in refusal.value.violations} == found


def test_every_required_name_of_a_oneof_becomes_a_field():
    for name, required in REQUIRED.items():
        descriptor = getattr(v1, name).DESCRIPTOR
        violations = Violations()
        check(getattr(v1, name)(), violations)
        with pytest.raises(InvalidRequest) as refusal:
            violations.raise_if_any()
        assert len(refusal.value.violations) >= len(required)
        assert {violation.path for violation in refusal.value.violations} <= set(descriptor.fields_by_name)
