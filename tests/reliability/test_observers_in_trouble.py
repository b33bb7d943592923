# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that observes may end or stop what serves: logs, traces, error reports and scrapes that nobody takes."""

import contextlib
import os
import signal
import socket
import time

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orrery.inference import v1
from tests.edges import ask
from tests.objects import eros
from tests.pods import free_address
from tests.processes import pod_process

CALLS = 300


def stderr_on_a_full_disk(stack):
    return {"stderr": stack.enter_context(open("/dev/full", "w"))}  # noqa: PTH123  # no path of ours


def stderr_that_nobody_reads(stack):
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    return {"stderr": stack.enter_context(os.fdopen(writing, "w"))}


def stderr_whose_reader_is_gone(stack):
    reading, writing = os.pipe()
    os.close(reading)
    return {"stderr": stack.enter_context(os.fdopen(writing, "w"))}


def listening(stack):
    """The address of a server that takes connections and says nothing."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return f"127.0.0.1:{server.getsockname()[1]}"


def a_collector_that_hangs(stack):
    return {"environment": {"ORRERY_TRACING_ENDPOINT": f"http://{listening(stack)}"}}


def no_collector(_):
    return {"environment": {"ORRERY_TRACING_ENDPOINT": f"http://{free_address()}"}}


def error_reports_that_hang(stack):
    return {"environment": {"ORRERY_ERRORS_DSN": f"http://key@{listening(stack)}/1"}}


TROUBLES = [
    stderr_on_a_full_disk,
    stderr_that_nobody_reads,
    stderr_whose_reader_is_gone,
    pytest.param(a_collector_that_hangs, marks=pytest.mark.long),
    pytest.param(no_collector, marks=pytest.mark.long),
    pytest.param(error_reports_that_hang, marks=pytest.mark.long),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_a_pod_serves_and_stops_whatever_becomes_of_its_observers(trouble):
    metrics = free_address()
    with contextlib.ExitStack() as stack:
        settings = trouble(stack)
        # At this level each call is a line.
        pod = stack.enter_context(pod_process("anomaly", METRICS_ADDRESS=metrics, LOG_LEVEL="DEBUG", **settings))
        with grpc.insecure_channel(pod.address) as channel:
            score = v1.AnomalyServiceStub(channel).ScoreAnomalies
            request = v1.ScoreAnomaliesRequest(objects=[eros()])
            await_answer(score, request)
            for _ in range(CALLS):
                score(request, timeout=20)
            # Refusals are logged too.
            for _ in range(20):
                with pytest.raises(grpc.RpcError) as caught:
                    score(v1.ScoreAnomaliesRequest(), timeout=20)
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        lost = sample(metrics, "orrery_log_lines_lost_total")
        assert (lost > 0) == ("stderr" in settings)
        pod.signal(signal.SIGTERM)
        assert pod.process.wait(60) == 0


def await_answer(ask, request):
    """Ask until the pod has its model."""
    until_s = time.monotonic() + 60
    while True:
        try:
            return ask(request, timeout=30, wait_for_ready=True)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert time.monotonic() < until_s
            time.sleep(0.1)


def sample(address, name):
    body = ask(address, "/metrics").body.decode()
    return next(
        sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name == name
    )


@pytest.mark.long
def test_scrapers_that_do_not_read_stop_nothing():
    metrics = free_address()
    host, _, port = metrics.rpartition(":")
    with contextlib.ExitStack() as stack:
        pod = stack.enter_context(pod_process("anomaly", METRICS_ADDRESS=metrics))
        with grpc.insecure_channel(pod.address) as channel:
            score = v1.AnomalyServiceStub(channel).ScoreAnomalies
            request = v1.ScoreAnomaliesRequest(objects=[eros()])
            await_answer(score, request)
            for _ in range(50):
                scraper = stack.enter_context(socket.create_connection((host, int(port))))
                scraper.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 20)
            for _ in range(CALLS):
                score(request, timeout=20)
        pod.signal(signal.SIGTERM)
        assert pod.process.wait(60) == 0
