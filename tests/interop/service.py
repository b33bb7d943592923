# SPDX-License-Identifier: GPL-3.0-or-later
"""The TestService of gRPC's interop cases, on a server of either transport: `python -m tests.interop.service grpc_h2`.

Published descriptions: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md. Not offered is
"CompressedRequest": grpc.aio does not show a handler whether its request was compressed.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from gateway.grpc_h2 import Server

FOLDER = Path(__file__).parent
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
TRANSPORTS = ("grpc_h2", "grpcio")
ECHO_INITIAL, ECHO_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
_KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def _compiled():
    """interop.proto, by buf."""
    buf = Path(sys.executable).with_name("buf")
    command = [buf, "build", FOLDER, "--config", '{"version":"v2"}', "--output", "-#format=binpb"]
    ended = subprocess.run(command, check=True, capture_output=True)
    return descriptor_pb2.FileDescriptorSet.FromString(ended.stdout)


FILES, POOL = _compiled(), descriptor_pool.DescriptorPool()
for described in FILES.file:
    POOL.Add(described)
SERVICES = [POOL.FindServiceByName(f"grpc.testing.{name}") for name in ("TestService", "UnimplementedService")]


def message(name):
    """The class of a message."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"grpc.testing.{name}"))


Empty, Payload, EchoStatus, BoolValue = (message(x) for x in ("Empty", "Payload", "EchoStatus", "BoolValue"))
SimpleRequest, SimpleResponse = message("SimpleRequest"), message("SimpleResponse")
InputRequest, InputResponse = message("StreamingInputCallRequest"), message("StreamingInputCallResponse")
OutputRequest, OutputResponse = message("StreamingOutputCallRequest"), message("StreamingOutputCallResponse")
ResponseParameters = message("ResponseParameters")


class Stub:
    """The methods of a service, on a channel of either transport."""

    def __init__(self, channel, service=SERVICES[0]):
        for method in service.methods:
            make = getattr(channel, _KINDS[method.client_streaming, method.server_streaming])
            reply = message_factory.GetMessageClass(method.output_type)
            call = make(
                f"/{service.full_name}/{method.name}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=reply.FromString,
            )
            setattr(self, method.name, call)


class TestService:
    """What the published description asks of a server."""

    __test__ = False

    async def EmptyCall(self, _request, context):  # noqa: N802
        await _echo_metadata(context)
        return Empty()

    async def UnaryCall(self, request, context):  # noqa: N802
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
            # grpc.aio ignores the choice where a unary reply brings its own headers.
            await context.send_initial_metadata(())
        else:
            await _echo_metadata(context)
        await _echo_status(request, context)
        return SimpleResponse(payload=_payload(request.response_size))

    async def CacheableUnaryCall(self, _request, context):  # noqa: N802
        await context.send_initial_metadata((("cache-control", "max-age=60, public"),))
        return SimpleResponse(payload=Payload(body=b"%d" % time.time_ns()))

    async def StreamingOutputCall(self, request, context):  # noqa: N802
        await _echo_metadata(context)
        async for reply in _replies([request], context):
            yield reply

    async def StreamingInputCall(self, requests, context):  # noqa: N802
        await _echo_metadata(context)
        return InputResponse(aggregated_payload_size=sum([len(request.payload.body) async for request in requests]))

    async def FullDuplexCall(self, requests, context):  # noqa: N802
        await _echo_metadata(context)
        async for request in requests:
            async for reply in _replies([request], context):
                yield reply

    async def HalfDuplexCall(self, requests, context):  # noqa: N802
        async for reply in _replies([request async for request in requests], context):
            yield reply


def handlers():
    """The service for `add_generic_rpc_handlers`."""
    service, servicer = SERVICES[0], TestService()
    found = {}
    for method in service.methods:
        if (serve := getattr(servicer, method.name, None)) is not None:
            make = getattr(grpc, f"{_KINDS[method.client_streaming, method.server_streaming]}_rpc_method_handler")
            request = message_factory.GetMessageClass(method.input_type)
            found[method.name] = make(serve, request.FromString, lambda reply: reply.SerializeToString())
    return grpc.method_handlers_generic_handler(service.full_name, found)


@contextlib.asynccontextmanager
async def serving(transport, port=0):
    """The port of a server of one transport."""
    if transport == "grpc_h2":
        server = Server(max_message_bytes=MAX_MESSAGE_BYTES, max_streams=1_000)
        bound = server.bind("127.0.0.1", port)
    else:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.add_generic_rpc_handlers((handlers(),))
    # The edge sends calls to servers that say they are well.
    servicer = health.HealthServicer()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0.1)


def _payload(size):
    return Payload(body=bytes(size))


async def _echo_metadata(context):
    came = dict(context.invocation_metadata())
    if ECHO_TRAILING in came:
        context.set_trailing_metadata(((ECHO_TRAILING, came[ECHO_TRAILING]),))
    if ECHO_INITIAL in came:
        await context.send_initial_metadata(((ECHO_INITIAL, came[ECHO_INITIAL]),))


async def _echo_status(request, context):
    if request.HasField("response_status"):
        code = next(code for code in grpc.StatusCode if code.value[0] == request.response_status.code)
        await context.abort(code, request.response_status.message)


async def _replies(requests, context):
    for request in requests:
        await _echo_status(request, context)
        if any(wanted.compressed.value for wanted in request.response_parameters):
            context.set_compression(grpc.Compression.Gzip)
        for wanted in request.response_parameters:
            await asyncio.sleep(wanted.interval_us / 1e6)
            if wanted.HasField("compressed") and not wanted.compressed.value:
                context.disable_next_message_compression()
            yield OutputResponse(payload=_payload(wanted.size))


async def _serve(transport, port):
    async with serving(transport, port) as bound:
        print(bound, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("transport", choices=TRANSPORTS)
    arguments.add_argument("--port", type=int, default=0)
    chosen = arguments.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen.transport, chosen.port))
