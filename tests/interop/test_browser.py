# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's interop cases in a real Chromium: gRPC-Web to the edge, and from there to servers of both transports."""

import contextlib
import functools
import http.server
import json
import subprocess
import sys
import threading

import pytest

from client.examples.build import CHROMIUM, find_chromium
from gateway.edge import render
from tests.chromium import open_page
from tests.edges import running_edge
from tests.examples import built
from tests.interop.runners import PAGE
from tests.interop.service import FILES, SERVICES, TRANSPORTS
from tests.pods import PROJECT_ROOT

pytestmark = pytest.mark.long("Chromium: apt-get install chromium")


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture(scope="module")
def site():
    """The port of a web server that has the page, and the description of the service."""
    folder = built(PAGE).parents[1]
    (folder / "interop.binpb").write_bytes(FILES.SerializeToString())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextlib.contextmanager
def served(transport):
    """The address of a TestService in a process of its own."""
    command = [sys.executable, "-m", "tests.interop.service", transport]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


@pytest.fixture(scope="module", params=TRANSPORTS)
def page(request, site, tmp_path_factory):
    """(the page, the edge's URL); the edge routes the TestService too."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no Chromium: install {CHROMIUM}")
    folder = tmp_path_factory.mktemp("edge")
    with pytest.MonkeyPatch.context() as patched, served(request.param) as address:
        routed = [*render.services(), *SERVICES]
        patched.setattr(render, "services", lambda: routed)
        with running_edge(folder, [address]) as edge, open_page(program, folder / "profile") as tab:
            tab.open(f"http://127.0.0.1:{site}/index.html")
            yield tab, f"http://{edge.address}"
            assert tab.exceptions == []


@pytest.mark.parametrize(
    "name",
    [
        "empty_unary",
        "large_unary",
        "server_streaming",
        "status_code_and_message",
        "special_status_message",
        "unimplemented_method",
        "unimplemented_service",
        "cancel_after_first_response",
        "timeout_on_sleeping_server",
    ],
)
def test_interop(page, name):
    tab, edge = page
    assert tab.evaluate(f"interop({json.dumps(edge)}, {json.dumps(name)})") == "holds"
