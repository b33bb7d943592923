# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document: valid, complete, and the same contract as the protos'."""

import json

import jsonschema
import pytest
from google.api import annotations_pb2
from google.protobuf import json_format
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.edge.render import OPENAPI, SOURCES
from gateway.edge.rest import rest_methods, services
from gateway.serving.bounds import NUMBERS
from orrery.inference import v1

DOCUMENT = json.loads(OPENAPI.read_text(encoding="utf-8"))
EXAMPLES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (SOURCES / "examples").glob("*.json")}


def validator(name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(schema)


def test_it_is_valid_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_it_has_every_annotated_method_and_no_other():
    annotated = {
        method.name
        for service in services()
        for method in service.methods
        if method.GetOptions().HasExtension(annotations_pb2.http)
    }
    listed = {operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()}
    assert annotated == {rest.method.name for rest in rest_methods()}
    assert listed == annotated | {f"{rest.method.name}ByGet" for rest in rest_methods() if rest.in_query}


def test_every_method_without_a_stream_of_requests_is_annotated():
    """What cannot be asked by REST is what JSON over HTTP has no form for."""
    absent = {
        method.name
        for service in services()
        for method in service.methods
        if not method.GetOptions().HasExtension(annotations_pb2.http)
    }
    streams = {method.name for service in services() for method in service.methods if method.client_streaming}
    assert absent == streams


def test_every_method_is_described():
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            assert operation["summary"] not in {"", operation["operationId"]}
            assert "buf:lint" not in operation["description"]


@pytest.mark.parametrize("rest", [rest for rest in rest_methods() if rest.body], ids=lambda rest: rest.method.name)
def test_every_method_has_an_example_that_its_schema_and_its_message_accept(rest):
    example = EXAMPLES[rest.method.name]
    assert (
        DOCUMENT["paths"][rest.path][rest.verb.lower()]["requestBody"]["content"]["application/json"]["example"]
        == example
    )
    validator(rest.body.name).validate(example)
    json_format.ParseDict(example, getattr(v1, rest.body.name)())


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"elements": {**EXAMPLES["Predict"]["objects"][0]["elements"], "eccentricity": -0.1}},
        {"elements": {**EXAMPLES["Predict"]["objects"][0]["elements"], "perihelion_distance_au": 1.0}},
        {"elements": {"epoch_tdb_jd": 2459000.5}},
        {"state": {"epoch_tdb_jd": 2459000.5}},
        {"designation": "x" * 65},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_servers_refuse(change):
    (an_object,) = EXAMPLES["Predict"]["objects"]
    assert not validator("NearEarthObject").is_valid(an_object | change)


def test_bounds_are_the_servers():
    schema = DOCUMENT["components"]["schemas"]["OrbitalElements"]["properties"]
    for name, interval in NUMBERS["OrbitalElements"].items():
        assert (schema[name]["minimum"], schema[name]["maximum"]) == (interval.low, interval.high)


def test_replies_are_open_and_have_no_bounds():
    reply = DOCUMENT["components"]["schemas"]["OrbitalElementsReply"]
    assert "additionalProperties" not in reply
    assert "minimum" not in reply["properties"]["eccentricity"]
