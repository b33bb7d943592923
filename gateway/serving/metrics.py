# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus metrics of every gRPC server, and the endpoint that shows them.

Names follow go-grpc-middleware's, which dashboards and alert rules of the field already know.
"""

import contextlib
import socket

from prometheus_client import Counter, Histogram, start_http_server

from gateway.serving import loop_metrics
from gateway.serving.environment import split_address

STARTED = loop_metrics.Counter("grpc_server_started_total", "Calls begun.", ["grpc_service", "grpc_method"])
HANDLED = loop_metrics.Counter(
    "grpc_server_handled_total", "Calls ended.", ["grpc_service", "grpc_method", "grpc_code"]
)
SECONDS = loop_metrics.Histogram(
    "grpc_server_handling_seconds",
    "Time from a call's begin to its end.",
    ["grpc_service", "grpc_method", "grpc_code"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
IN_FLIGHT = loop_metrics.Gauge("grpc_server_in_flight", "Calls being served now.", ["grpc_service", "grpc_method"])

REFUSED = Counter(
    "orrery_refused_total",
    "Calls that ended with an error, by its published reason (error_reason.proto).",
    ["grpc_service", "grpc_method", "reason"],
)

OVERLOAD_REFUSED = Counter("orrery_overload_refused_total", "Calls refused because too many were under way.")
QUOTA_REFUSED = Counter("orrery_quota_refused_total", "Calls refused because their caller's quota was used up.")
QUOTA_UNCHECKED = Counter("orrery_quota_unchecked_total", "Calls admitted without a quota because Redis was away.")


class MetricsEndpoint:
    """GET /metrics on a thread of its own."""

    def __init__(self, address: str) -> None:
        """Start serving.

        Args:
            address: host:port; port 0 takes a free one.

        Raises:
            OSError: the address is taken.
        """
        host, port = split_address(address)
        self._server, self._thread = start_http_server(port, host)
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop serving and free the port."""
        with contextlib.suppress(OSError):
            # The thread polls every half second, and the pod's event loop would wait for it: this wakes it at once.
            # macOS refuses it for a socket that listens.
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


TURN_SECONDS = Histogram(
    "orrery_turn_seconds",
    "Processor time of a turn of work on threads.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1),
)
