# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod shows of its calls: metrics, traces, error reports, channelz; and what it never shows."""

import asyncio
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import secrets
import threading

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2, status_pb2
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.serving import logs, server
from gateway.serving.errors import reason_in
from gateway.serving.settings import ServingSettings
from gateway.serving.tls import UnsafeSettings
from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests.echo_server import until
from tests.objects import eros
from tests.observing import collecting_traces, metrics_of
from tests.pods import ANYWHERE, running_anomaly, running_front
from tests.small_pod import SERVICE, Broken, running_broken
from tests.transports import OWN

pytestmark = pytest.mark.transport

TOKEN = secrets.token_hex(32)
CALLERS = f"alice reader sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
# In the request, and in the words of the error that it leads to.
PLANTED = "planted-5c9a1e"


@pytest.fixture
def collector():
    with collecting_traces() as keeping:
        yield keeping


@pytest.fixture
def error_server():
    """A server that takes envelopes as Sentry does."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # the base class' name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://public@127.0.0.1:{serving.server_port}/1", bodies
        serving.shutdown()
        thread.join()


async def test_latencies_by_method_and_code():
    async with running_broken() as pod, grpc.aio.insecure_channel(pod.address) as channel:
        stub = v1.AnomalyServiceStub(channel)
        await stub.ScoreAnomalyColumns(v1.ScoreAnomalyColumnsRequest())
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ScoreAnomalies(v1.ScoreAnomaliesRequest(objects=[eros()]))
        shown = await metrics_of(pod)
    for method, code in (("ScoreAnomalyColumns", "OK"), ("ScoreAnomalies", "INTERNAL")):
        labels = f'grpc_code="{code}",grpc_method="{method}",grpc_service="{SERVICE}"'
        assert f"grpc_server_handling_seconds_count{{{labels}}}" in shown
    assert f'grpc_server_in_flight{{grpc_method="ScoreAnomalies",grpc_service="{SERVICE}"}} 0.0' in shown
    labels = f'grpc_method="ScoreAnomalies",grpc_service="{SERVICE}",reason="INTERNAL"'
    assert f"orrery_refused_total{{{labels}}}" in shown


@pytest.mark.parametrize(("reason", "counted"), [("OVERLOADED", "OVERLOADED"), ("invented", "OTHER"), (None, "OTHER")])
def test_only_published_reasons_are_counted_by_name(reason, counted):
    status = status_pb2.Status()
    if reason:
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason))
    assert reason_in(status) == counted


async def test_a_trace_goes_from_the_caller_through_the_front_to_the_pod(collector):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    tracing = {"tracing_endpoint": collector.endpoint}
    async with (
        running_broken(**tracing) as broken,
        running_front(anomaly_address=broken.address, **tracing) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        call = v1.AnomalyServiceStub(channel).ScoreAnomalyColumns(
            v1.ScoreAnomalyColumnsRequest(), metadata=(("traceparent", traceparent), ("x-request-id", "traced-1"))
        )
        await call
    spans = {pod: span for pod, span in collector.spans if span.name.endswith("ScoreAnomalyColumns")}
    front, broken = spans["pod"], spans["broken"]
    assert front.trace_id.hex() == broken.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert front.parent_span_id.hex() == "b7ad6b7169203331"
    assert broken.parent_span_id == front.span_id
    attributes = {attribute.key: attribute.value.string_value for attribute in broken.attributes}
    assert attributes["rpc.response.status_code"] == "OK"
    assert attributes["request.id"] == "traced-1"


async def test_nothing_is_traced_unless_asked_for():
    seen = []

    class Listening(Broken):
        async def ScoreAnomalyColumns(self, _request, context):  # noqa: N802  # the contract's name
            seen.extend(key for key, _ in context.invocation_metadata())
            return v1.ScoreAnomalyColumnsResponse()

    @contextlib.asynccontextmanager
    async def mount(grpc_server, checks):
        v1.add_AnomalyServiceServicer_to_server(Listening(), grpc_server)
        yield (SERVICE,)

    chosen = ServingSettings(address=ANYWHERE, metrics_address=ANYWHERE, grace_s=1.0)
    async with (
        server.running(chosen, mount) as listening,
        running_front(anomaly_address=listening.address) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        await v1.AnomalyServiceStub(channel).ScoreAnomalyColumns(v1.ScoreAnomalyColumnsRequest())
    assert "x-request-id" in seen
    assert "traceparent" not in seen


async def test_an_internal_error_is_reported_and_nothing_that_a_caller_sent(collector, error_server):
    dsn, bodies = error_server
    log = io.StringIO()
    structlog.configure(
        processors=[
            logs.name_call,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(log),
    )
    settings = {"callers": CALLERS, "errors_dsn": dsn, "tracing_endpoint": collector.endpoint}
    try:
        async with running_broken(**settings) as pod, grpc.aio.insecure_channel(pod.address) as channel:
            item = eros()
            item.designation = PLANTED
            metadata = (("authorization", f"Bearer {TOKEN}"), ("x-request-id", "reported-1"))
            stub = v1.AnomalyServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.ScoreAnomalies(v1.ScoreAnomaliesRequest(objects=[item]), metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError) as denied:
                await stub.ScoreAnomalies(v1.ScoreAnomaliesRequest(objects=[item]))
            shown = await metrics_of(pod)
    finally:
        structlog.reset_defaults()
    refusal = InferenceError(raised.value)
    assert (refusal.reason, InferenceError(denied.value).reason) == ("INTERNAL", "UNAUTHENTICATED")
    # One event: refusals are no errors of ours.
    assert len(bodies) == 1
    event = json.loads(bodies[0].splitlines()[2])
    assert event["exception"]["values"][0]["type"] == "KeyError"
    assert event["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"] == "ScoreAnomalies"
    assert event["tags"]["request_id"] == "reported-1"
    assert '"request_id": "reported-1"' in log.getvalue()
    for place in (bodies[0].decode(), collector.raw.decode("latin-1"), shown, refusal.message):
        assert PLANTED not in place
        assert TOKEN not in place
    assert TOKEN not in log.getvalue()


async def test_channelz_and_every_health_on_the_admin_port_alone():
    async with (
        running_broken(admin_address=ANYWHERE) as pod,
        grpc.aio.insecure_channel(pod.admin_address) as admin,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        await v1.AnomalyServiceStub(channel).ScoreAnomalyColumns(v1.ScoreAnomalyColumnsRequest())
        shown = await channelz_pb2_grpc.ChannelzStub(admin).GetServers(channelz_pb2.GetServersRequest())
        assert max(entry.data.calls_succeeded for entry in shown.server) >= 1
        checks = health_pb2_grpc.HealthStub(admin)
        for service in ("", SERVICE):
            reply = await checks.Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest())
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(UnsafeSettings, match="ADMIN_ADDRESS"):
        async with running_broken(admin_address="0.0.0.0:0"):
            pass


async def test_channelz_shows_the_channels_of_a_front():
    async with (
        running_anomaly() as anomaly,
        running_front(anomaly_address=anomaly.address, admin_address=ANYWHERE) as pod,
        grpc.aio.insecure_channel(pod.admin_address) as admin,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        async with asyncio.timeout(30):
            async for reply in health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(service=SERVICE)
            ):
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    break
        await v1.AnomalyServiceStub(channel).ScoreAnomalies(v1.ScoreAnomaliesRequest(objects=[eros()]), timeout=20)
        asked = channelz_pb2_grpc.ChannelzStub(admin)
        shown = await asked.GetTopChannels(channelz_pb2.GetTopChannelsRequest())
        assert shown.end
        (found,) = (one for one in shown.channel if one.data.target.endswith(anomaly.address))
        assert found.data.state.state == channelz_pb2.ChannelConnectivityState.READY
        assert found.data.calls_succeeded >= 1
        one = await asked.GetChannel(channelz_pb2.GetChannelRequest(channel_id=found.ref.channel_id))
        assert one.channel.ref == found.ref
        holder = found
        while holder.subchannel_ref:
            # grpcio shows a channel's connections below its addresses.
            (below,) = holder.subchannel_ref
            wanted = channelz_pb2.GetSubchannelRequest(subchannel_id=below.subchannel_id)
            holder = (await asked.GetSubchannel(wanted)).subchannel
        (ref,) = holder.socket_ref
        socket = (await asked.GetSocket(channelz_pb2.GetSocketRequest(socket_id=ref.socket_id))).socket
        assert socket.data.streams_succeeded >= 1
        assert socket.remote.tcpip_address.port == int(anomaly.address.rpartition(":")[2])


@OWN
async def test_channelz_shows_a_part_of_the_channels():
    async with running_front(admin_address=ANYWHERE) as pod, grpc.aio.insecure_channel(pod.admin_address) as admin:
        asked = channelz_pb2_grpc.ChannelzStub(admin)
        shown = await asked.GetTopChannels(channelz_pb2.GetTopChannelsRequest())
        ids = [one.ref.channel_id for one in shown.channel]
        assert len(ids) >= 4
        part = await asked.GetTopChannels(channelz_pb2.GetTopChannelsRequest(start_channel_id=ids[1], max_results=2))
        assert [one.ref.channel_id for one in part.channel] == ids[1:3]
        assert not part.end
        for question in (
            asked.GetChannel(channelz_pb2.GetChannelRequest(channel_id=max(ids) + 1_000)),
            asked.GetSubchannel(channelz_pb2.GetSubchannelRequest(subchannel_id=1)),
            asked.GetSocket(channelz_pb2.GetSocketRequest(socket_id=max(ids) + 1_000)),
            asked.GetServer(channelz_pb2.GetServerRequest(server_id=2)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await question
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_one_request_id_in_the_logs_of_front_and_pod():
    async with (
        running_anomaly() as anomaly,
        running_front(anomaly_address=anomaly.address) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        with structlog.testing.capture_logs(processors=[logs.name_call]) as lines:
            call = v1.AnomalyServiceStub(channel).ScoreAnomalies(
                v1.ScoreAnomaliesRequest(), metadata=(("x-request-id", "both-1"),), timeout=20
            )
            with pytest.raises(grpc.aio.AioRpcError):
                await call
            # A server may write its line after its caller has the answer.
            await until(lambda: len(_lines_of(lines, "ScoreAnomalies")) == 2)
    assert [line["request_id"] for line in _lines_of(lines, "ScoreAnomalies")] == ["both-1", "both-1"]


def _lines_of(lines, method):
    return [line for line in lines if line["event"] == "call" and line["method"].endswith(method)]
