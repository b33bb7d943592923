# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of a REST request against the contract, as Envoy's filter checks it."""

import json

import pytest

from tests.lua import checker
from tests.pods import PROJECT_ROOT

EXAMPLES = sorted((PROJECT_ROOT / "serving_config" / "envoy" / "examples").glob("*.json"))
ASKS = {"Simulate": "SimulateRequest", "StreamSimulate": "SimulateRequest"}
ELEMENTS = {"epoch_tdb_jd": 2459000.5, "semi_major_axis_au": 1.4, "eccentricity": 0.2}

violations = checker()


def an_object(**changes):
    return {"objects": [{"elements": {**ELEMENTS, **changes}}]}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_fine(path):
    assert violations(path.read_bytes(), ASKS.get(path.stem, f"{path.stem}Request")) == []


@pytest.mark.parametrize(
    "body",
    [
        an_object(semiMajorAxisAu=1.4) | {"objects": [{"elements": {"semiMajorAxisAu": 1.4, "epochTdbJd": 1e6}}]},
        {"objects": [{"elements": {"eccentricity": "NaN", "inclination_deg": "-Infinity"}}]},
        {"objects": None, "model": None},
        {"objects": [], "model": {"version": "9007199254740993"}},
        {"model": {"version": 7}},
        {"model": {"version": 7.0}},
        {"objects": [{"designation": 'a "quoted" \\ \u00e9 \U0001f30d\n'}]},
        {"objects": [{"state": {"frame": "FRAME_ICRF", "epoch_tdb_jd": -1.5e-3}}]},
        {},
        b' \r\n\t{ "objects" : [ ] } \n',
        b'{"objects":[{"\\u0064esignation":"\\ud83c\\udf0d"}]}',
    ],
    ids=str,
)
def test_what_protojson_allows_is_let_through(body):
    assert violations(body) == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (an_object(ecentricity=0.2), [("objects[0].elements.ecentricity", "is no field of OrbitalElements")]),
        (an_object(eccentricity="0.2"), [("objects[0].elements.eccentricity", "must be a number, not text")]),
        (an_object(eccentricity=True), [("objects[0].elements.eccentricity", "must be a number, not true or false")]),
        (an_object(eccentricity=[1]), [("objects[0].elements.eccentricity", "must be a number, not an array")]),
        (an_object(eccentricity={}), [("objects[0].elements.eccentricity", "must be a number, not an object")]),
        ({"objects": {}}, [("objects", "must be an array, not an object")]),
        ({"objects": [1, [], "x"]}, [(f"objects[{i}]", f"must be an object, not {what}") for i, what in
                                     enumerate(("a number", "an array", "text"))]),
        ({"objects": [None]}, [("objects[0]", "must be an object, not null")]),
        ({"objects": [{"designation": 433}]}, [("objects[0].designation", "must be text, not a number")]),
        ({"model": {"version": 1.5}}, [("model.version", "must be a whole number")]),
        ({"model": {"version": "1.5"}}, [("model.version", "must be a whole number, not text")]),
        ({"model": {"version": 1e30}}, [("model.version", "must be a whole number that int64 holds")]),
        ({"model": {"version": 1, "version_label": "a"}},
         [("model.version_label", "excludes version: give one of them")]),
        (an_object(perihelionDistanceAu=1.0),
         [("objects[0].elements.perihelion_distance_au", "excludes semi_major_axis_au: give one of them")]),
        ({"objects": [{"state": {"frame": "FRAME_GALACTIC"}}]},
         [("objects[0].state.frame", "is no Frame: FRAME_ECLIPTIC_J2000, FRAME_ICRF")]),
        ({"objects": [{"state": {"frame": 2}}]},
         [("objects[0].state.frame", "must be the name of a Frame, not a number")]),
        (b'{"model":{"version":1,"version":2}}', [("model.version", "is given twice")]),
        (b'{"objects":[],"objects":[]}', [("objects", "is given twice")]),
        ([], [("request", "must be an object, not an array")]),
        ({"a": {"b": [{"c": None}]}, "z": 1},
         [("a", "is no field of PredictRequest"), ("z", "is no field of PredictRequest")]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_path(body, found):
    assert violations(body) == found


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not a JSON value (byte 1)"),
        (b"{", "a field's name expected, in double quotes (byte 2)"),
        (b"{'objects':[]}", "a field's name expected, in double quotes (byte 2)"),
        (b"{objects:[]}", "a field's name expected, in double quotes (byte 2)"),
        (b'{"objects":[],}', "a field's name expected, in double quotes (byte 15)"),
        (b'{"objects" []}', "':' expected (byte 12)"),
        (b'{"objects":[1 2]}', "',' or ']' expected (byte 15)"),
        (b'{"objects":[]]', "',' or '}' expected (byte 14)"),
        (b'{"explain":tru}', "not a JSON value (byte 12)"),
        (b'{"model":{"version":01}}', "a number with a leading zero (byte 22)"),
        (b'{"model":{"version":1.}}', "a number without digits (byte 23)"),
        (b'{"model":{"version":-}}', "a number without digits (byte 22)"),
        (b'{"model":{"version":1e}}', "a number without digits (byte 23)"),
        (b'{"model":{"version":NaN}}', "not a JSON value (byte 21)"),
        (b'{"objects":[]} {}', "nothing expected after the object (byte 16)"),
        (b'{"a":"x', "the text ends in a string (byte 8)"),
        (b'{"a":"\n"}', "a control character in a string (byte 7)"),
        (b'{"a":"\\x"}', "a broken escape in a string (byte 7)"),
        (b'{"a":"\\u12"}', "a broken escape in a string (byte 7)"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested too deeply (byte 322)"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply (byte 70)"),
        (b"\xff\xfe", "it is UTF-16, and JSON is UTF-8 (byte 1)"),
        (b"\xfe\xff", "it is UTF-16, and JSON is UTF-8 (byte 1)"),
        (b" \xff", "not a JSON value (byte 2)"),
    ],
)
def test_what_is_no_json_is_pointed_at(body, complaint):
    assert violations(body) == [("request", f"is not JSON: {complaint}")]


def test_many_violations_are_counted_and_not_all_named():
    few = checker(most=3)
    found = few({"objects": [1] * 10})
    assert [path for path, _ in found] == ["objects[0]", "objects[1]", "objects[2]", "request"]
    assert found[-1][1] == "7 more fields are wrong"


def test_a_long_name_is_cut():
    ((path, _),) = violations({"x" * 1000: 1})
    assert path == "x" * 64 + "..."


def test_columns_are_checked_too():
    body = {"orbits": {"eccentricity": [0.1] * 5000 + ["0.2", None]}}
    assert violations(json.dumps(body).encode(), "PredictColumnsRequest") == [
        ("orbits.eccentricity[5000]", "must be a number, not text"),
        ("orbits.eccentricity[5001]", "must be a number, not null"),
    ]


@pytest.mark.parametrize(
    ("message", "body", "field", "place"),
    [
        ("SimulateRequest", {"object": {}}, "object", "scenario"),
        ("SimulateRequest", {"durationDays": 1}, "durationDays", "scenario"),
        ("PredictRequest", {"elements": {}}, "elements", "objects[0]"),
        ("PredictRequest", {"semi_major_axis_au": 1}, "semi_major_axis_au", "objects[0].elements"),
        ("PredictRequest", {"version": "3"}, "version", "model"),
        ("EstimateImpactRequest", {"sigmas": {}}, "sigmas", "object.uncertainty"),
        ("PredictRequest", {"objects": [{}, {"albedo": 1}]}, "objects[1].albedo", "objects[1].physical"),
        ("PredictRequest", {"objects": [{"epoch_tdb_jd": 1}]}, "objects[0].epoch_tdb_jd",
         "objects[0].elements or objects[0].state"),
        ("SimulateRequest", {"scenario": {"object": {"fidelity": "x"}}}, "scenario.object.fidelity", "scenario"),
        ("PredictRequest", {"objects": [{"model": {}}]}, "objects[0].model", "the request itself"),
        ("PredictRequest", {"objects": [{"elements": {"physical": {}}}]}, "objects[0].elements.physical", "objects[0]"),
    ],
)  # fmt: skip
def test_a_field_in_the_wrong_message_is_named_with_its_place(message, body, field, place):
    assert [(path, words.partition("; it belongs into ")[2]) for path, words in violations(body, message)] == [
        (field, place)
    ]


def test_a_field_that_no_message_has_has_no_place():
    assert violations({"colour": 1}) == [("colour", "is no field of PredictRequest")]
    # Nothing is left over from a body that was not read to its end.
    assert violations(b'{"objects": [{"elements": {') != []
    assert violations({"colour": 1}) == [("colour", "is no field of PredictRequest")]
