# SPDX-License-Identifier: GPL-3.0-or-later
"""REST as `make serve` has it: every method answers, and every refusal is a problem document."""

import json
import re

import jsonschema
import pytest

from gateway.edge.render import OPENAPI, PAGES
from gateway.edge.rest import rest_methods
from tests.edges import JSON, ask, example, problem_of, raw_reply
from tests.transports import OWN

DOCUMENT = json.loads(OPENAPI.read_text(encoding="utf-8"))
METHODS = {rest.method.name: rest for rest in rest_methods() if not rest.in_query}
EROS = example("Predict")


def check_reply(answer, message):
    schema = {"$ref": f"#/components/schemas/{message}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)


def messages_of(reply):
    """The messages of a stream, by its framing."""
    lines = reply.body.decode().splitlines()
    if reply.headers["content-type"] == "text/event-stream":
        assert all(line.startswith("data: ") for line in lines[::2])
        assert not any(lines[1::2])
        return [json.loads(line.removeprefix("data: ")) for line in lines[::2]]
    assert reply.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", [name for name, rest in METHODS.items() if not rest.streams])
def test_every_method_answers_its_example(stack, name):
    rest = METHODS[name]
    reply = ask(stack["edge"], rest.path, example(name), verb=rest.verb)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json"
    assert not [header for header in reply.headers if header.startswith("grpc-")]
    check_reply(reply.json(), rest.method.output_type.name)


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
@pytest.mark.parametrize("name", [name for name, rest in METHODS.items() if rest.streams])
def test_every_stream_answers_its_example(stack, name, accept):
    rest = METHODS[name]
    reply = ask(stack["edge"], rest.path, example(name), headers={**JSON, "accept": accept, "accept-encoding": "gzip"})
    assert reply.status == 200, reply.body
    assert "content-encoding" not in reply.headers
    *messages, last = messages_of(reply)
    assert messages
    for message in messages:
        check_reply(message, rest.method.output_type.name)
    check_reply(last, "StreamEnd")


def test_a_simulations_stream_has_its_result_last(stack):
    *updates, _ = messages_of(ask(stack["edge"], "/api/simulate/stream", example("StreamSimulate")))
    assert [next(iter(update)) for update in updates].count("result") == 1
    assert "result" in updates[-1]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({**EROS, "explain": True}, ["explain"]),
        ({"objects": [{**EROS["objects"][0], "colour": 1, "physical": {"albedo": "x"}}]},
         ["objects[0].colour", "objects[0].physical.albedo"]),
        ({"objects": [{"elements": {"epoch_tdb_jd": 2459e3, "eccentricity": "NaN", "semi_major_axis_au": "Infinity"}}]},
         ["objects[0].elements.eccentricity", "objects[0].elements.semi_major_axis_au",
          "objects[0].physical.absolute_magnitude_h"]),
        ({"objects": []}, ["objects"]),
        ({"model": {"version": -1}}, ["model.version", "objects"]),
        (b'{"objects":[{"designation":"\xff"}]}', None),
        (b'{"objects": [', ["request"]),
        (b"\x00\x01", ["request"]),
        (b"null", ["request"]),
        (b"", ["request"]),
        (b'{"objects":' + b"[" * 10_000, ["request"]),
        (b'{"objects":[{"elements":{"eccentricity":1e999}}]}', None),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_is_wrong_in_a_body_is_named(stack, body, fields):
    problem = problem_of(ask(stack["edge"], "/api/predict", body))
    assert (problem["status"], problem["code"], problem["reason"]) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")
    named = sorted(error["field"] for error in problem["errors"])
    assert named == fields if fields is not None else named
    assert all(error["description"] for error in problem["errors"])


def test_every_field_of_a_refusal_can_be_sent(stack):
    """A choice that was not made is named by a field, and a field in the wrong place with its place."""
    nothing = problem_of(ask(stack["edge"], "/api/predict", {"objects": [{}]}))
    assert {"field": "objects[0].elements", "description": "is required, or state"} in nothing["errors"]
    misplaced = problem_of(ask(stack["edge"], "/api/simulate", {"object": EROS["objects"][0], "duration_days": 1}))
    words = "is no field of SimulateRequest; it belongs into scenario"
    assert misplaced["errors"] == [{"field": name, "description": words} for name in ("object", "duration_days")]


@pytest.mark.parametrize("name", ["Predict", "StreamSimulate"])
def test_a_byte_order_mark_is_ignored(stack, name):
    body = "\ufeff".encode() + json.dumps(example(name)).encode()
    reply = ask(stack["edge"], METHODS[name].path, body)
    assert reply.status == 200, reply.body
    assert reply.body == ask(stack["edge"], METHODS[name].path, example(name)).body or METHODS[name].streams


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ("\ufeff".encode() * 2 + b"{}", "is not JSON: not a JSON value (byte 1)"),
        ('\ufeff{"colour": 1}'.encode(), "is no field of PredictRequest"),
        (json.dumps(EROS).encode("utf-16"), "is not JSON: it is UTF-16, and JSON is UTF-8 (byte 1)"),
        ("\ufeff".encode(), "is empty; it must be a JSON object"),
    ],
)
def test_what_follows_a_byte_order_mark_is_checked(stack, body, description):
    problem = problem_of(ask(stack["edge"], "/api/predict", body))
    assert problem["status"] == 400
    assert problem["errors"][0]["description"].startswith(description)


@pytest.mark.parametrize(
    ("request_of", "status", "reason"),
    [
        ({"path": "/api/nothing", "body": {}}, 404, "NO_SUCH_METHOD"),
        ({"path": "/api/predict/", "body": {}}, 404, "NO_SUCH_METHOD"),
        ({"path": "/"}, 404, "NO_SUCH_METHOD"),
        ({"path": "/api/predict"}, 405, "NO_SUCH_METHOD"),
        ({"path": "/api/predict", "verb": "DELETE"}, 405, "NO_SUCH_METHOD"),
        ({"path": "/api/predict", "body": EROS, "headers": {"content-type": "text/xml"}},
         415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"path": "/api/predict", "body": EROS, "headers": {"content-type": "application/x-www-form-urlencoded"}},
         415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"path": "/api/predict", "body": EROS, "headers": {**JSON, "content-encoding": "gzip"}},
         415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"path": "/orrery.inference.v1.PredictionService/Predict", "body": EROS}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"path": "/api/predict?colour=red", "body": EROS}, 400, "INVALID_FIELD"),
        ({"path": "/api/predict", "body": {**EROS, "model": {"version": "7"}}}, 404, "MODEL_NOT_FOUND"),
        ({"path": "/api/simulate", "body": example("Simulate"), "headers": {**JSON, "grpc-timeout": "1m"}},
         504, "DEADLINE_EXCEEDED"),
    ],
    ids=lambda value: str(value)[:90],
)  # fmt: skip
def test_every_refusal_is_a_problem_document(stack, request_of, status, reason):
    problem = problem_of(ask(stack["edge"], **request_of))
    assert (problem["status"], problem["reason"]) == (status, reason)


@pytest.mark.parametrize("timeout", ["5s", "10", "", "soon", "1.5S", "-1S", "999999999S"])
def test_a_timeout_that_is_not_in_grpcs_form_is_named(stack, timeout):
    problem = problem_of(ask(stack["edge"], "/api/predict", EROS, headers={**JSON, "grpc-timeout": timeout}))
    assert (problem["status"], problem["code"], problem["reason"]) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")
    (error,) = problem["errors"]
    assert error["field"] == "grpc-timeout"
    assert "1 to 8 digits and a unit (H, M, S, m, u or n)" in error["description"]


def test_a_wrong_timeout_harms_no_other_call(stack):
    # grpcio's server goes on to refuse other timeouts on a connection that has carried a wrong one.
    for timeout in ("1S", "5s", "10", "2S", "29S", "3000m"):
        status = ask(stack["edge"], "/api/predict", EROS, headers={**JSON, "grpc-timeout": timeout}).status
        assert status == (400 if timeout in {"5s", "10"} else 200), timeout


@OWN
@pytest.mark.parametrize("headers", [{"x-caller": "Zoë".encode("latin-1")}, {"x-caller-bin": b"no base64"}])
def test_a_header_that_is_no_metadata_is_the_callers_error(stack, headers):
    problem = problem_of(ask(stack["edge"], "/api/predict", EROS, headers={**JSON, **headers}))
    assert (problem["status"], problem["reason"]) == (400, "INVALID_FIELD")
    assert "headers must be ASCII" in problem["detail"]


def test_a_wrong_http_method_is_told_the_right_ones(stack):
    assert ask(stack["edge"], "/api/predict").headers["allow"] == "POST"


@pytest.mark.parametrize("encoding", ["content-length", "chunked"])
def test_a_huge_body_is_refused_before_it_is_read(stack, encoding):
    host = f"POST /api/predict HTTP/1.1\r\nhost: {stack['edge']}\r\ncontent-type: application/json\r\n".encode()
    if encoding == "content-length":
        request = host + b"content-length: 40000000\r\n\r\n"
    else:
        chunk = b"1000000\r\n" + b" " * 0x1000000 + b"\r\n"
        request = host + b"transfer-encoding: chunked\r\n\r\n" + chunk * 3
    reply = raw_reply(stack["edge"], request)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in reply
    assert b'"reason":"REQUEST_TOO_LARGE"' in reply
    assert ask(stack["edge"], "/api/predict", EROS).status == 200


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x00 not http", b"POST /api/predict HTTP/1.1\r\ncontent-length: x\r\n\r\n"]
)
def test_what_is_no_http_is_refused(stack, nonsense):
    assert raw_reply(stack["edge"], nonsense + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(stack["edge"], "/api/predict", EROS).status == 200


def test_a_full_message_of_columns(stack):
    """100,000 objects, 12 MB of JSON and back."""
    row = example("PredictColumns")["orbits"]
    columns = {name: [values[-1]] * 100_000 for name, values in row.items()}
    reply = ask(stack["edge"], "/api/predict/columns", {"orbits": columns}, timeout_s=60)
    assert reply.status == 200, reply.body[:500]
    assert len(reply.json()["pha_probability"]) == 100_000
    columns["eccentricity"][70_000] = "x"
    problem = problem_of(ask(stack["edge"], "/api/predict/columns", {"orbits": columns}, timeout_s=60))
    assert [error["field"] for error in problem["errors"]] == ["orbits.eccentricity[70000]"]


def test_the_reference_can_be_browsed_without_any_other_host(stack):
    for page in PAGES:
        reply = ask(stack["edge"], page.path)
        assert reply.status == 200
        assert reply.headers["content-type"] == page.media_type
        assert reply.headers["content-security-policy"].startswith("default-src 'self'")
        if page.file in {"index.html", "start.js"}:
            assert not re.search(rb"https?://|//cdn", reply.body)
    assert ask(stack["edge"], "/api/openapi.json").json() == DOCUMENT
    assert ask(stack["edge"], "/api/docs").headers["location"].endswith("/api/docs/")
