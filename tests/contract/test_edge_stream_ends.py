# SPDX-License-Identifier: GPL-3.0-or-later
"""How a REST stream ends: its last line or event is a problem document or says "complete"; a cut stream has neither."""

import concurrent.futures
import contextlib
import http.client
import json
import signal
import threading
import time
import urllib.parse

import grpc
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gateway.edge.rest import rest_methods
from gateway.serving import errors
from orrery.inference import v1
from tests.edges import JSON, LONG, NEVER_NEAR, ask, example, in_flight, problem_of, raw_reply, running_edge, until

COMPLETE = {"complete": True}
STREAMS = {rest.method.name: rest.path for rest in rest_methods() if rest.streams}
BY_GET = {rest.method.name: rest.path for rest in rest_methods() if rest.in_query}
FRAMINGS = {"lines": "*/*", "events": "text/event-stream"}
HTTP_OF = {
    "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
    "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}  # fmt: skip


def parsed(body, framing):
    """The JSON objects of a whole stream."""
    text = body.decode()
    if framing == "lines":
        assert text == "" or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]
    assert text == "" or text.endswith("\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in text.split("\n\n")[:-1]]


def streamed(address, path, body, framing="lines", **headers):
    """A whole stream's objects; fails where it is refused, and raises IncompleteRead where it is cut off."""
    reply = ask(address, path, body, headers={**JSON, "accept": FRAMINGS[framing], **headers})
    assert reply.status == 200, reply.body
    return parsed(reply.body, framing)


def ends(objects):
    """Those that are no message but say how the call ended."""
    return [item for item in objects if item == COMPLETE or str(item.get("type", "")).startswith("tag:")]


class Scripted(v1.SimulationServiceServicer):
    """A front that does what the designation says, in JSON."""

    def StreamSimulate(self, request, context):  # noqa: N802  # the contract's name
        script = json.loads(request.scenario.object.designation)
        if script.get("headers"):
            context.send_initial_metadata(())
        for i in range(script.get("messages", 0)):
            chunk = v1.TrajectoryChunk(x_au=[float(i)] * script.get("points", 1))
            yield v1.SimulateUpdate(trajectory=chunk)
        if "code" in script:
            details = script.get("details", "")
            context.abort({code.value[0]: code for code in grpc.StatusCode}[script["code"]], details)
        if "field" in script:
            violation = errors.FieldViolation(script["field"], "is wrong")
            context.abort_with_status(
                rpc_status.to_status(errors.status_of(errors.InvalidRequest([violation]), "its-id"))
            )


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    """The address of an edge before a front that keeps to a script."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    v1.add_SimulationServiceServicer_to_server(Scripted(), server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    checks.set("", health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with running_edge(tmp_path_factory.mktemp("edge"), [f"127.0.0.1:{port}"]) as edge:
        yield edge
    server.stop(None)


def script(**steps):
    return {"scenario": {"object": {"designation": json.dumps(steps)}}}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_of_the_contract_says_that_it_is_complete(stack, name, framing):
    objects = streamed(stack["edge"], STREAMS[name], example(name), framing)
    assert len(objects) > 1
    assert objects[-1] == COMPLETE
    assert ends(objects) == [COMPLETE]


def test_no_message_of_a_stream_looks_like_its_end():
    for rest in rest_methods():
        if rest.streams:
            assert not {"complete", "type", "status"} & set(rest.method.output_type.fields_by_name)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("messages", [0, 1, 3])
def test_a_stream_that_succeeds_ends_complete(scripted, messages, framing):
    objects = streamed(scripted.address, "/api/simulate/stream", script(messages=messages), framing)
    assert len(objects) == messages + 1
    assert ends(objects) == [objects[-1]] == [COMPLETE]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("code", sorted(set(code_pb2.Code.values()) - {0}))
def test_a_stream_that_fails_ends_with_what_a_refusal_before_it_would_have_been(scripted, code, framing):
    path, name = "/api/simulate/stream", code_pb2.Code.Name(code)
    headers = {"x-request-id": "an-id"}
    whole = script(code=code, details=f"it is {name}, größer als 100 %\n")
    refusal = problem_of(ask(scripted.address, path, whole, headers={**JSON, **headers}))
    steps = json.loads(whole["scenario"]["object"]["designation"])
    objects = streamed(scripted.address, path, script(messages=2, **steps), framing, **headers)
    assert len(objects) == 3
    assert ends(objects) == [objects[-1]] == [refusal]
    assert (refusal["status"], refusal["code"]) == (HTTP_OF[name], name)
    assert refusal["detail"] == f"it is {name}, größer als 100 %\n"
    assert f"ERROR_REASON_{refusal['reason']}" in v1.ErrorReason.keys()  # noqa: SIM118  # an enum wrapper, not a dict


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_fields_that_are_wrong_are_named_at_the_end(scripted, framing):
    objects = streamed(scripted.address, "/api/simulate/stream", script(messages=1, field="scenario.object"), framing)
    assert ends(objects) == [objects[-1]]
    assert objects[-1]["errors"] == [{"field": "scenario.object", "description": "is wrong"}]


def test_an_error_behind_headers_without_a_message_is_the_only_line(scripted):
    body = script(headers=True, code=code_pb2.NOT_FOUND, details="nothing here")
    (only,) = streamed(scripted.address, "/api/simulate/stream", body)
    assert (only["status"], only["detail"]) == (404, "nothing here")


def test_messages_of_many_pieces_keep_their_framing(scripted):
    """3 MB a message: many frames of HTTP/2."""
    objects = streamed(scripted.address, "/api/simulate/stream", script(messages=3, points=300_000), "events")
    assert [len(item["trajectory"]["x_au"]) for item in objects[:-1]] == [300_000] * 3
    assert objects[-1] == COMPLETE


def test_the_status_is_in_the_trailer_and_in_the_access_log_too(scripted):
    content = json.dumps(script(messages=1, code=code_pb2.NOT_FOUND)).encode()
    head = (
        "POST /api/simulate/stream HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
        f"x-request-id: logged\r\nconnection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    assert raw_reply(scripted.address, head.encode() + content).endswith(b"\r\n0\r\ngrpc-status: 5\r\n\r\n")
    until(lambda: [x["grpc_status"] for x in scripted.accesses() if x["request_id"] == "logged"] == ["NOT_FOUND"])


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_deadline_after_the_first_message_is_the_last_line(stack, framing):
    objects = streamed(stack["edge"], "/api/simulate/stream", LONG, framing, **{"grpc-timeout": "1S"})
    assert len(objects) > 1
    assert ends(objects) == [objects[-1]]
    assert (objects[-1]["status"], objects[-1]["reason"]) == (504, "DEADLINE_EXCEEDED")
    until(lambda: in_flight(stack) == 0)


def test_a_reason_that_is_found_on_the_way_is_the_last_line(stack):
    """An object that meets no planet in the window: the pod knows only when it has looked."""
    objects = streamed(stack["edge"], "/api/deflection", NEVER_NEAR)
    assert "progress" in objects[0]
    assert ends(objects) == [objects[-1]]
    assert (objects[-1]["status"], objects[-1]["reason"]) == (400, "INVALID_FIELD")
    assert objects[-1]["errors"][0]["field"] == "from_tdb_jd"


class Open:
    """A stream that has begun, read in a thread."""

    def __init__(self, address, framing, **headers):
        host, _, port = address.rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=30)
        wanted = {**JSON, "accept": FRAMINGS[framing], **headers}
        self._connection.request("POST", "/api/simulate/stream", json.dumps(LONG).encode(), wanted)
        self._reply = self._connection.getresponse()
        assert self._reply.status == 200
        self._body, self.cut = self._reply.readline(), False
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self):
        try:
            self._body += self._reply.read()
        except (http.client.IncompleteRead, ConnectionError) as error:
            self._body += getattr(error, "partial", b"")
            self.cut = True

    def rest(self):
        """The bytes of the stream, when it has ended."""
        self._reading.join(30)
        assert not self._reading.is_alive()
        self._connection.close()
        return self._body


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("killed", ["front", "simulation"])
def test_a_pod_that_is_killed_leaves_no_stream_that_looks_complete(expendable, killed, framing):
    address, front, simulation = expendable
    stream = Open(address, framing)
    {"front": front, "simulation": simulation}[killed].signal(signal.SIGKILL)
    body = stream.rest()
    assert b"complete" not in body
    if killed == "front":
        assert stream.cut
        assert b"tag:" not in body
    else:
        # The front saw its pod go, and says so.
        assert not stream.cut
        last = parsed(body, framing)[-1]
        assert (last["status"], last["reason"]) == (503, "BACKEND_UNAVAILABLE")


def test_a_front_that_hangs_cuts_the_stream_off_soon_after_its_deadline(expendable):
    address, front, _ = expendable
    stream = Open(address, "lines", **{"grpc-timeout": "1S"})
    front.signal(signal.SIGSTOP)
    begun = time.monotonic()
    body = stream.rest()
    # The deadline, and the second that the edge leaves the front for its own words; not the 30 s of this test.
    assert time.monotonic() - begun < 15
    assert stream.cut
    assert b"tag:" not in body
    assert b"complete" not in body


def test_a_caller_who_leaves_ends_the_work(stack):
    host, _, port = stack["edge"].rpartition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        connection.request("POST", "/api/simulate/stream", json.dumps(LONG).encode(), JSON)
        connection.getresponse().readline()
        assert in_flight(stack) == 1
    until(lambda: in_flight(stack) == 0)


@pytest.mark.parametrize("name", BY_GET)
def test_a_get_asks_what_the_post_asks(stack, name):
    """As EventSource does; that browsers can read it: test_browser_streams.py."""
    query = urllib.parse.urlencode({"request": json.dumps(example(name))})
    reply = ask(stack["edge"], f"{BY_GET[name]}?{query}", headers={"accept": "text/event-stream"})
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")
    objects = parsed(reply.body, "events")
    assert len(objects) > 1
    assert objects[-1] == COMPLETE


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "request"),
        ("?", "request"),
        ("?request", "request"),
        ("?request=", "request"),
        ("?request=%7B%7D", "object"),
        ("?request=%7B%22colour%22:1%7D", "colour"),
        ("?request=%7B", "request"),
        ("?request=%7B%7D&request=%7B%7D", "request"),
        ("?colour=red", "colour"),
        ("?request=%7B%7D&colour=red", "colour"),
    ],
)
def test_what_is_wrong_in_a_query_is_named(stack, query, field):
    problem = problem_of(ask(stack["edge"], f"/api/deflection{query}"))
    assert (problem["status"], problem["reason"]) == (400, "INVALID_FIELD")
    assert problem["errors"][0]["field"] == field


def test_what_must_not_be_in_an_address_has_no_get(stack):
    """A contributor's token would be in histories and logs."""
    assert ask(stack["edge"], "/api/feedback/export").headers["allow"] == "POST"
