# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document held against the running edge by schemathesis: what it allows and what it forbids.

A few requests of each method, the same in every run; `make test-random` takes new ones, a hundred of each.
"""

import json

import jsonschema
import schemathesis
from hypothesis import HealthCheck, Phase
from requests.exceptions import ChunkedEncodingError
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from gateway.edge.render import OPENAPI
from tests.example_counts import one_in

DOCUMENT = json.loads(OPENAPI.read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
# Without the two that take the schema for the whole truth: rules that join fields are the servers' alone, and JSON has
# forms that the schema does not show (docs/rest.md). The test has its own.
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.unsupported_method,
]


def without_nulls(value):
    """As the servers read it: null is "not given"."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    return [without_nulls(member) for member in value] if isinstance(value, list) else value


def is_allowed(case):
    """Whether the document allows a body."""
    body = DOCUMENT["paths"][case.path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = {**body, "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(schema).is_valid(without_nulls(case.body))


def is_stream(case):
    """Whether the document lets a reply be a stream."""
    replies = DOCUMENT["paths"][case.path]["post"]["responses"]
    return "application/x-ndjson" in replies["200"]["content"]


@SCHEMA.parametrize()
@one_in(25, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
def test_the_edge_keeps_what_its_document_says(case, stack):
    # Simulations that the document allows may take minutes: then it is 504, or a stream that was cut off.
    try:
        reply = case.call(base_url=f"http://{stack['edge']}", headers={"grpc-timeout": "1S"}, timeout=60)
    except ChunkedEncodingError:
        assert is_stream(case)
        return
    if reply.request.method == "QUERY" and reply.status_code == 400:
        # Envoy's parser does not always know this one, and then refuses it before any filter could say 405 or why.
        return
    left_out = {checks.not_a_server_error} if reply.status_code == 504 else set()
    case.validate_response(reply, checks=[check for check in CHECKS if check not in left_out])
    if case.method == "POST" and isinstance(case.body, dict | list) and not is_allowed(case):
        assert 400 <= reply.status_code < 500
    if reply.status_code == 400:
        assert reply.json()["errors"] or case.body is None
