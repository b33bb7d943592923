# SPDX-License-Identifier: GPL-3.0-or-later
"""GET /v1/models/<name>[/versions/<version>] and GET /monitoring/prometheus/metrics, as TensorFlow Serving has them."""

import json
import re
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from google.protobuf.json_format import MessageToDict
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from tensorflow_serving.apis import get_model_status_pb2

from gateway.model_server.core import ModelServer
from gateway.model_server.errors import Refusal
from gateway.serving.environment import split_address

METRICS_PATH = "/monitoring/prometheus/metrics"
_MODEL_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/([0-9]{1,18}))?")

log = structlog.get_logger()


class StatusEndpoint:
    """The HTTP server, on threads of its own."""

    def __init__(self, address: str, models: ModelServer) -> None:
        """Start serving.

        Args:
            address: host:port; port 0 takes a free one.
            models: whose states to show.

        Raises:
            OSError: the address is taken.
        """

        class Handler(_Handler):
            server_models = models

        self._server = ThreadingHTTPServer(split_address(address), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)
        self._thread.start()
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_models: ModelServer
    # A client that says nothing is let go.
    timeout = 5.0

    def do_GET(self) -> None:
        if self.path == METRICS_PATH:
            self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
        elif match := _MODEL_PATH.fullmatch(self.path):
            self._send_json(*self._model_status(match[1], match[2]))
        else:
            self._send_json(HTTPStatus.NOT_FOUND, {"error": f"Malformed request: GET {self.path}"})

    def _model_status(self, name: str, version: str | None) -> tuple[HTTPStatus, object]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = int(version)
        try:
            reply = self.server_models.status(request)
        except Refusal as refusal:
            return HTTPStatus.NOT_FOUND, {"error": str(refusal)}
        body = MessageToDict(reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        return HTTPStatus.OK, body

    def _send_json(self, status: HTTPStatus, body: object) -> None:
        self._send(status, "application/json", json.dumps(body, indent=1).encode())

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class' name
        log.debug("http", line=format % args)
