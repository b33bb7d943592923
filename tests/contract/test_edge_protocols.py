# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC and gRPC-Web through the edge, browsers' manners, and what is kept of a call."""

import base64
import gzip
import struct

import grpc
import pytest

from orrery.inference import InferenceClient, InferenceError, v1
from tests.edges import JSON, Edge, ask, example, in_flight, problem_of, until
from tests.objects import eros

PREDICT = "/orrery.inference.v1.PredictionService/Predict"
SIMULATE = "/orrery.inference.v1.SimulationService/StreamSimulate"
PAGE = "http://localhost:3000"
ELSEWHERE = "https://page.example.org"


def framed(message):
    content = message.SerializeToString()
    return struct.pack(">BI", 0, len(content)) + content


def frames_of(body):
    """The messages of a gRPC-Web reply, and its trailers."""
    messages, trailers = [], {}
    while body:
        kind, length = struct.unpack(">BI", body[:5])
        content, body = body[5 : 5 + length], body[5 + length :]
        if kind & 0x80:
            trailers = dict(line.split(":", 1) for line in content.decode().strip().split("\r\n"))
        else:
            messages.append(content)
    return messages, trailers


def web(address, path, message, *, text=False):
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    body = base64.b64encode(framed(message)) if text else framed(message)
    headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1", "origin": PAGE}
    reply = ask(address, path, body, headers=headers)
    content = base64.b64decode(reply.body) if text else reply.body
    return reply, *frames_of(content)


def test_the_client_asks_through_the_edge(stack):
    with InferenceClient(stack["edge"], timeout_s=20.0) as client:
        assert client.predict([eros()]).predictions[0].definition.earth_moid_au == pytest.approx(0.148623, abs=1e-6)
        with pytest.raises(InferenceError) as refusal:
            client.predict([v1.NearEarthObject()])
    assert refusal.value.reason == "INVALID_FIELD"
    assert "objects[0].elements" in {violation.path for violation in refusal.value.violations}


def test_streams_both_ways_pass(stack):
    with grpc.insecure_channel(stack["edge"]) as channel:
        stub = v1.PredictionServiceStub(channel)
        request = v1.PredictColumnsRequest(
            orbits=v1.OrbitColumns(
                epoch_tdb_jd=[2459000.5], semi_major_axis_au=[1.4], eccentricity=[0.2], inclination_deg=[1.0],
                longitude_of_ascending_node_deg=[1.0], argument_of_perihelion_deg=[1.0], absolute_magnitude_h=[20.0],
            )
        )  # fmt: skip
        assert len(list(stub.StreamPredict(iter([request] * 5), timeout=20))) == 5


@pytest.mark.parametrize("text", [False, True])
def test_a_browser_asks_by_grpc_web(stack, text):
    reply, messages, trailers = web(stack["edge"], PREDICT, v1.PredictRequest(objects=[eros()]), text=text)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == PAGE
    assert "grpc-status" in reply.headers["access-control-expose-headers"]
    (message,) = messages
    assert v1.PredictResponse.FromString(message).predictions[0].designation == eros().designation
    assert trailers["grpc-status"].strip() == "0"


def test_grpc_web_streams(stack):
    request = v1.SimulateRequest()
    request.scenario.object.CopyFrom(eros())
    request.scenario.duration_days = 400
    _, messages, trailers = web(stack["edge"], SIMULATE, request)
    assert v1.SimulateUpdate.FromString(messages[-1]).HasField("result")
    assert trailers["grpc-status"].strip() == "0"


def test_a_refusal_by_grpc_web_keeps_its_details(stack):
    reply, messages, trailers = web(stack["edge"], PREDICT, v1.PredictRequest())
    told = trailers or reply.headers
    assert messages == []
    assert told["grpc-status"].strip() == "3"
    assert "grpc-status-details-bin" in told


@pytest.mark.parametrize("timeout", ["5s", "10", "", "999999999S"])
def test_a_timeout_that_is_not_in_grpcs_form_is_an_invalid_argument(stack, timeout):
    kind = "application/grpc-web+proto"
    headers = {"content-type": kind, "accept": kind, "grpc-timeout": timeout}
    reply = ask(stack["edge"], PREDICT, framed(v1.PredictRequest(objects=[eros()])), headers=headers)
    _, trailers = frames_of(reply.body)
    refusal = trailers or reply.headers
    assert refusal["grpc-status"].strip() == "3"
    assert refusal["grpc-message"].strip().startswith("grpc-timeout: must be 1 to 8 digits and a unit")


@pytest.mark.parametrize("path", ["/api/predict", PREDICT])
def test_pages_elsewhere_are_not_let_in(stack, path):
    asked = {"origin": ELSEWHERE, "access-control-request-method": "POST"}
    refused = ask(stack["edge"], path, verb="OPTIONS", headers=asked)
    assert "access-control-allow-origin" not in refused.headers
    problem = problem_of(refused)
    assert (problem["status"], problem["reason"]) == (403, "ORIGIN_NOT_ALLOWED")
    assert problem["metadata"] == {"origin": ELSEWHERE}
    assert problem["detail"] == (
        f"pages of the origin {ELSEWHERE} may not call this gateway; "
        "the setting ORRERY_EDGE_CORS_ORIGINS lists those that may"
    )
    allowed = ask(stack["edge"], path, verb="OPTIONS", headers={**asked, "origin": PAGE})
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert "content-type" in allowed.headers["access-control-allow-headers"]


@pytest.mark.parametrize("origin", [PAGE, ELSEWHERE])
def test_a_path_that_is_none_is_not_blamed_on_the_origin(stack, origin):
    asked = {"origin": origin, "access-control-request-method": "POST"}
    reply = ask(stack["edge"], "/api/nothing", verb="OPTIONS", headers=asked)
    assert problem_of(reply)["reason"] == "NO_SUCH_METHOD"


@pytest.mark.parametrize("origin", [PAGE, ELSEWHERE])
def test_pages_anywhere_may_read_the_openapi_document(stack, origin):
    reply = ask(stack["edge"], "/api/openapi.json", headers={"origin": origin})
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "*")


def test_large_answers_are_compressed(stack):
    many = {"objects": example("Predict")["objects"] * 20}
    # Rows of one batch may differ in the last bit; from the cache they come the same each time.
    ask(stack["edge"], "/api/predict", many)
    plain = ask(stack["edge"], "/api/predict", many)
    zipped = ask(stack["edge"], "/api/predict", many, headers={**JSON, "accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 5
    brotli = ask(stack["edge"], "/api/predict", many, headers={**JSON, "accept-encoding": "gzip, br"})
    assert brotli.headers["content-encoding"] == "br"


@pytest.mark.parametrize("path", ["/api/predict", "/api/anomalies"])
def test_an_id_is_kept_and_comes_back(stack, path):
    answered = ask(stack["edge"], path, example("Predict"), headers={**JSON, "x-request-id": "mine.1"})
    assert (answered.status, answered.headers["x-request-id"]) == (200, "mine.1")
    refused = problem_of(ask(stack["edge"], path, {"objects": []}, headers={**JSON, "x-request-id": "mine.2"}))
    assert refused["request_id"] == "mine.2"


@pytest.mark.parametrize("bad", ["x" * 65, "a b", 'a"b', "a,b"])
def test_an_id_that_is_none_is_replaced(stack, bad):
    reply = ask(stack["edge"], "/api/predict", {"objects": []}, headers={**JSON, "x-request-id": bad})
    assert problem_of(reply)["request_id"] != bad


def test_a_caller_who_goes_away_frees_the_pod(stack):
    request = v1.SimulateRequest()
    request.scenario.object.CopyFrom(eros())
    request.scenario.duration_days, request.scenario.fidelity = 36525, v1.FIDELITY_AUDIT
    with grpc.insecure_channel(stack["edge"]) as channel:
        call = v1.SimulationServiceStub(channel).StreamSimulate(request, timeout=60)
        next(call)
        assert in_flight(stack) == 1
        call.cancel()
    until(lambda: in_flight(stack) == 0)


def test_a_deadline_reaches_the_pod(stack):
    body = example("Simulate")
    body["scenario"] |= {"duration_days": 36525, "fidelity": "FIDELITY_AUDIT"}
    reply = ask(stack["edge"], "/api/simulate", body, headers={**JSON, "grpc-timeout": "300m"})
    assert problem_of(reply)["reason"] == "DEADLINE_EXCEEDED"
    until(lambda: in_flight(stack) == 0)


def test_the_edge_has_metrics_and_nothing_else_of_its_admin_page(stack):
    edge = Edge(stack["edge"], stack["edge_metrics"], None)
    assert edge.healthy_fronts() == 1
    assert ask(edge.metrics, "/ready").body == b"LIVE\n"
    for path in ("/", "/config_dump", "/quitquitquit", "/stats", "/clusters"):
        assert ask(edge.metrics, path).status == 404
