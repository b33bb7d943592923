# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint that shows a pod's metrics."""

import functools
import socketserver
import sys
import urllib.request

import pytest

from gateway.serving.metrics import MetricsEndpoint


@pytest.mark.skipif(sys.platform != "linux", reason="not on Linux: closing waits for the server's next poll")
@pytest.mark.timeout(30)
def test_closing_does_not_wait_for_the_servers_next_poll(monkeypatch):
    patient = functools.partialmethod(socketserver.BaseServer.serve_forever, poll_interval=600.0)
    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", patient)
    endpoint = MetricsEndpoint("127.0.0.1:0")
    with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics") as reply:
        assert reply.status == 200
    endpoint.close()
    MetricsEndpoint(f"127.0.0.1:{endpoint.port}").close()
