# SPDX-License-Identifier: GPL-3.0-or-later
"""What pods show of their calls, received as the real receivers do."""

import asyncio
import contextlib
import urllib.request
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.pods import ANYWHERE


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent."""

    def __init__(self):
        self.spans = []
        self.raw = b""

    def Export(self, request, _context):  # noqa: N802  # the contract's name
        self.raw += request.SerializeToString()
        for resource in request.resource_spans:
            pod = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            self.spans += [(pod, span) for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@contextlib.contextmanager
def collecting_traces():
    """An OpenTelemetry collector, which keeps what it is sent."""
    keeping = Collector()
    collecting = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(keeping, collecting)
    keeping.endpoint = f"http://127.0.0.1:{collecting.add_insecure_port(ANYWHERE)}"
    collecting.start()
    try:
        yield keeping
    finally:
        collecting.stop(None).wait()


async def metrics_of(pod):
    def fetch():
        with urllib.request.urlopen(f"http://{pod.metrics_address}/metrics", timeout=5) as reply:
            return reply.read().decode()

    return await asyncio.to_thread(fetch)
