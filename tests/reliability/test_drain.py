# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM: calls in flight end well, and the process is gone with code 0."""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orrery.inference import v1
from tests.objects import eros
from tests.pods import PROJECT_ROOT, free_address

pytestmark = pytest.mark.transport

SERVICE = "orrery.inference.v1.AnomalyService"


@pytest.fixture
def anomaly_process():
    address, metrics = free_address(), free_address()
    settings = {**os.environ, "ORRERY_ANOMALY_ADDRESS": address, "ORRERY_ANOMALY_METRICS_ADDRESS": metrics}
    command = [sys.executable, "-m", "gateway", "anomaly"]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, env=settings, stderr=subprocess.PIPE) as process:
        yield process, address, metrics
        process.kill()


async def until_serving(channel):
    checks = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(30):
        while True:
            try:
                if (await checks.Check(health_pb2.HealthCheckRequest(service=SERVICE))).status == 1:
                    return
            except grpc.aio.AioRpcError:
                pass
            await asyncio.sleep(0.1)


def in_flight(metrics):
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("grpc_server_in_flight{"))


async def test_calls_in_flight_survive_sigterm(anomaly_process):
    process, address, metrics = anomaly_process
    async with grpc.aio.insecure_channel(address) as channel:
        await until_serving(channel)
        score = v1.AnomalyServiceStub(channel).ScoreAnomalies
        request = v1.ScoreAnomaliesRequest(objects=[eros()] * 150, explain=True)
        calls = [score(request, timeout=60) for _ in range(6)]
        async with asyncio.timeout(30):
            while await asyncio.to_thread(in_flight, metrics) < len(calls):
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        replies = await asyncio.gather(*calls)
    assert [len(reply.scores) for reply in replies] == [150] * 6
    assert await asyncio.to_thread(process.wait, 20) == 0
