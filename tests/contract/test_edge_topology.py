# SPDX-License-Identifier: GPL-3.0-or-later
"""Two fronts behind one Envoy: one of them dies, drains, hangs or comes back, and no caller notices."""

import concurrent.futures
import signal
import time

import grpc
import pytest

from orrery.inference import v1
from tests.edges import JSON, ask, example, problem_of, running_edge
from tests.objects import eros
from tests.processes import pod_process

ONE = v1.PredictRequest(objects=[eros()])
EROS = example("Predict")


@pytest.fixture
def fronts(stack):
    backends = {f"{pod.upper()}_ADDRESS": stack[pod] for pod in ("model_server", "anomaly", "simulation", "feedback")}
    with pod_process("front", GRACE_S=5, **backends) as one, pod_process("front", GRACE_S=5, **backends) as other:
        yield [one, other]


@pytest.fixture
def edge(fronts, tmp_path):
    with running_edge(tmp_path, [front.address for front in fronts]) as running:
        until_healthy(running, 2)
        yield running


def until_healthy(edge, count):
    deadline = time.monotonic() + 20
    while edge.healthy_fronts() != count:
        assert time.monotonic() < deadline, edge.stats()
        time.sleep(0.05)


def calls_while(edge, happening, seconds):
    """Codes of calls by two REST and two gRPC callers that do not retry, while something happens."""
    end = time.monotonic() + seconds

    def rest():
        codes = []
        while time.monotonic() < end:
            codes.append(ask(edge.address, "/api/predict", EROS).status)
        return codes

    def by_grpc():
        codes = []
        with grpc.insecure_channel(edge.address, options=[("grpc.enable_retries", 0)]) as channel:
            predict = v1.PredictionServiceStub(channel).Predict
            while time.monotonic() < end:
                try:
                    predict(ONE, timeout=20)
                    codes.append(200)
                except grpc.RpcError as error:
                    codes.append(error)
        return codes

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(caller) for caller in (rest, rest, by_grpc, by_grpc)]
        time.sleep(0.3)
        happening()
        return [code for caller in callers for code in caller.result()]


def test_a_front_that_is_killed_costs_no_call(edge, fronts):
    codes = calls_while(edge, lambda: fronts[0].signal(signal.SIGKILL), 3)
    assert len(codes) > 50
    assert set(codes) == {200}
    until_healthy(edge, 1)
    fronts[0].gone()
    fronts[0].start()
    until_healthy(edge, 2)


def test_a_front_that_drains_costs_no_call(edge, fronts):
    codes = calls_while(edge, lambda: fronts[1].signal(signal.SIGTERM), 3)
    assert set(codes) == {200}
    assert fronts[1].process.wait(20) == 0
    until_healthy(edge, 1)


def test_a_front_that_hangs_gets_no_more_calls(edge, fronts):
    fronts[0].signal(signal.SIGSTOP)
    try:
        until_healthy(edge, 1)
        assert {ask(edge.address, "/api/predict", EROS).status for _ in range(20)} == {200}
    finally:
        fronts[0].signal(signal.SIGCONT)
    until_healthy(edge, 2)


def test_without_any_front_callers_are_told_to_come_back(edge, fronts):
    for front in fronts:
        front.signal(signal.SIGKILL)
    until_healthy(edge, 0)
    reply = ask(edge.address, "/api/predict", EROS, headers=JSON)
    problem = problem_of(reply)
    assert (problem["status"], problem["reason"]) == (503, "BACKEND_UNAVAILABLE")
    assert int(reply.headers["retry-after"]) >= 1
    assert ask(edge.address, "/health").status == 503
    with grpc.insecure_channel(edge.address) as channel, pytest.raises(grpc.RpcError) as refusal:
        v1.PredictionServiceStub(channel).Predict(ONE, timeout=20)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


def test_calls_are_spread_and_logged_with_their_front(edge, fronts):
    for _ in range(60):
        assert ask(edge.address, "/api/predict?", EROS, headers={**JSON, "authorization": "Bearer hush"}).status == 200
    time.sleep(1.5)
    calls = [line for line in edge.accesses() if line["path"] == "/api/predict"]
    assert len(calls) == 60
    assert {call["front"] for call in calls} == {front.address for front in fronts}
    assert {(call["status"], call["http_method"]) for call in calls} == {(200, "POST")}
    text = edge.log.read_text(encoding="utf-8")
    assert "hush" not in text
    assert eros().designation not in text
