# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubelet asks: it speaks no TLS, and must have its answer from a pod that is full."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orrery.inference import v1
from tests.certificates import Authority
from tests.pods import ANYWHERE
from tests.small_pod import SERVICE, running_broken

pytestmark = pytest.mark.transport

SERVING = health_pb2.HealthCheckResponse.SERVING


async def status_at(channel, service=""):
    reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return reply.status


async def test_a_full_pod_answers_probes_on_its_health_port():
    async with (
        running_broken(health_address=ANYWHERE, maximum_concurrent_rpcs=1) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
        grpc.aio.insecure_channel(pod.health_address) as probe,
    ):
        stream = v1.AnomalyServiceStub(channel).StreamScoreAnomalies(timeout=30)
        await stream.write(v1.ScoreAnomalyColumnsRequest())
        await stream.read()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await status_at(channel)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert [await status_at(probe, name) for name in ("", SERVICE)] == [SERVING, SERVING]
        await stream.done_writing()


async def test_a_pod_with_tls_answers_probes_in_plaintext_and_nothing_else_there(tmp_path):
    certificate, key, ca = Authority().write(tmp_path, "pod")
    tls = {"tls_certificate_file": certificate, "tls_key_file": key, "client_ca_file": ca}
    async with (
        running_broken(**tls, health_address=ANYWHERE) as pod,
        grpc.aio.insecure_channel(pod.health_address) as probe,
    ):
        assert await status_at(probe, SERVICE) == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await v1.AnomalyServiceStub(probe).ScoreAnomalyColumns(v1.ScoreAnomalyColumnsRequest(), timeout=5)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_call_outlives_the_age_of_its_connection():
    async with (
        running_broken(max_connection_age_s=0.2, grace_s=0.2) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        stream = v1.AnomalyServiceStub(channel).StreamScoreAnomalies(timeout=30)
        for _ in range(2):
            await stream.write(v1.ScoreAnomalyColumnsRequest())
            assert await stream.read() == v1.ScoreAnomalyColumnsResponse()
            # gRPC lets ages differ by a tenth.
            await asyncio.sleep(1.0)
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK
