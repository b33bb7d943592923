# SPDX-License-Identifier: GPL-3.0-or-later
"""Problem documents, from the very statuses that the servers send."""

import base64
import json
import re

import pytest
from google.rpc import code_pb2, error_details_pb2

from gateway.edge.render import SOURCES
from gateway.serving import errors
from orrery.inference import v1
from tests.lua import lua_function
from tests.unit.serving.test_errors import GIVEN_BY_THE_EDGE, REFUSALS, unpacked

of_status = lua_function(
    """function(code, details, words)
         local told = problem.of_status(code, details, words)
         return problem.document(400, told, "an-id"), told.retry_after_s
       end""",
    "problem",
)
of_refusal = lua_function(
    "function(status, words) return problem.document(status, problem.refusal(status, words)) end", "problem"
)


def document_of(status, *, padded=False):
    encoded = base64.b64encode(status.SerializeToString())
    text, retry_after_s = of_status(status.code, encoded if padded else encoded.rstrip(b"="), status.message.encode())
    return json.loads(text), retry_after_s


@pytest.mark.parametrize("reason", sorted(REFUSALS))
@pytest.mark.parametrize("padded", [True, False])
def test_a_refusal_of_the_servers_keeps_all_it_says(reason, padded):
    error, code = REFUSALS[reason]
    status = errors.status_of(error, "an-id")
    document, retry_after_s = document_of(status, padded=padded)
    info = unpacked(status, error_details_pb2.ErrorInfo)
    assert document["type"] == f"tag:inference.orrery,2026:{reason}"
    assert (document["status"], document["request_id"]) == (400, "an-id")
    assert (document["reason"], document["code"]) == (reason, code_pb2.Code.Name(code))
    assert document["domain"] == info.domain
    assert document["detail"] == status.message
    assert document.get("metadata", {}) == dict(info.metadata)
    wait = unpacked(status, error_details_pb2.RetryInfo)
    assert retry_after_s == (None if wait is None else pytest.approx(wait.retry_delay.ToMilliseconds() / 1e3))
    named = unpacked(status, error_details_pb2.BadRequest)
    expected = (
        [] if named is None else [{"field": v.field, "description": v.description} for v in named.field_violations]
    )
    assert document.get("errors", []) == expected


@pytest.mark.parametrize("text", ['a "quote" \\ and \n\t\x01\x7f', "größe 🌍 \u2028", "x" * 5000])
def test_any_text_becomes_json(text):
    status = errors.status_of(errors.InvalidRequest([errors.FieldViolation(text, text)] * 60), "an-id")
    document, _ = document_of(status)
    assert document["errors"] == [{"field": text, "description": text}] * 60


def test_bytes_that_are_no_text_do_not_break_it():
    body = of_refusal(400, b"model.version: \xff\xc3(\xed\xa0\x80 ok")
    assert json.loads(body)["errors"] == [{"field": "model.version", "description": "??(??? ok"}]


@pytest.mark.parametrize("details", [b"", b"!!!", b"AAAA", b"//////////", b"CAMSBA", b"GgA"])
def test_a_broken_status_is_still_a_problem(details):
    text, _ = of_status(3, details, b"words")
    assert json.loads(text)["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 408, 413, 415, 418, 429, 431, 500, 501, 502, 503, 504, 599]
)
def test_a_refusal_of_envoys_own_has_a_published_reason(status):
    document = json.loads(of_refusal(status, b""))
    assert f"ERROR_REASON_{document['reason']}" in v1.ErrorReason.keys()  # noqa: SIM118  # an enum wrapper, not a dict
    assert document["code"] in code_pb2.Code.keys()  # noqa: SIM118
    assert document["detail"]


def test_the_edge_gives_the_reasons_that_are_its_own():
    source = (SOURCES / "lua" / "problem.lua").read_text(encoding="utf-8")
    given = set(re.findall(r'(?:\[\d{3}\] = \{"\w+", |reason = )"(\w+)"', source))
    assert given - REFUSALS.keys() == GIVEN_BY_THE_EDGE
