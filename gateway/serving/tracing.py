# SPDX-License-Identifier: GPL-3.0-or-later
"""Spans of calls, sent to an OpenTelemetry collector; the one door to OpenTelemetry, loaded only where one is set.

A span holds the method, the status and the request id: nothing that a caller sent but its `traceparent`.
"""

from collections.abc import Iterable
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.serving.context import TRACEPARENT_KEY

# Statuses that are the server's fault (OpenTelemetry's semantic conventions for RPC, gRPC server spans).
_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


class Tracing:
    """Begins spans, and sends them in the background."""

    def __init__(self, endpoint: str, pod: str, share: float) -> None:
        """Connect lazily.

        Args:
            endpoint: the collector's gRPC address, "http://collector:4317".
            pod: "front", "anomaly", …
            share: of the traces begun here, 0 to 1, that are kept.
        """
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"))
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource.create({"service.namespace": "orrery", "service.name": pod}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("gateway.serving")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, metadata: Iterable[tuple[str, Any]]) -> "ServerSpan":
        """A span of a call, within the caller's own if it sent one.

        Args:
            method: "/package.Service/Method".
            metadata: that the call came with.
        """
        carrier = {key: value for key, value in metadata if key == TRACEPARENT_KEY and isinstance(value, str)}
        service, _, name = method.removeprefix("/").rpartition("/")
        span = self._tracer.start_span(
            method.removeprefix("/"),
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )
        onward: dict[str, str] = {}
        self._propagator.inject(onward, context=set_span_in_context(span))
        return ServerSpan(span, onward[TRACEPARENT_KEY])

    def close(self) -> None:
        """Send what is left, and stop."""
        self._provider.shutdown()


class ServerSpan:
    """The span of one call, and how other pods refer to it."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span, traceparent: str) -> None:
        self._span = span
        self.traceparent = traceparent

    def end(self, code: str, request_id: str) -> None:
        """Close it with the call's status."""
        self._span.set_attributes({"rpc.response.status_code": code, "request.id": request_id})
        if code in _FAULTS:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
