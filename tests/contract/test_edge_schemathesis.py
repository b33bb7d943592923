# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document held against the running edge by schemathesis: what it allows and what it forbids.

A few requests of each method; `make schemathesis` asks hundreds (ORRERY_TEST_REQUESTS).
"""

import json
import os

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from gateway.edge.render import OPENAPI
from tests.edges import problem_of  # noqa: F401

REQUESTS = int(os.environ.get("ORRERY_TEST_REQUESTS", "8"))
SCHEMA = schemathesis.openapi.from_dict(json.loads(OPENAPI.read_text(encoding="utf-8")))
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.unsupported_method,
]


@SCHEMA.parametrize()
@settings(
    max_examples=REQUESTS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_the_edge_keeps_what_its_document_says(case, stack):
    case.call_and_validate(base_url=f"http://{stack['edge']}", checks=CHECKS, timeout=60)
