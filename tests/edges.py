# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Envoys for tests, on free ports before real fronts."""

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.edge.app import _program
from gateway.edge.render import SOURCES, render
from gateway.edge.settings import EdgeSettings
from tests.pods import free_address

JSON = {"content-type": "application/json"}


def example(method):
    """The request that the OpenAPI document shows for a method."""
    return json.loads((SOURCES / "examples" / f"{method}.json").read_text(encoding="utf-8"))


# A stream that goes on for minutes.
LONG = example("StreamSimulate")
LONG["scenario"] |= {"duration_days": 36525, "fidelity": "FIDELITY_AUDIT"}

# An object that meets no planet in the window, which the pod knows only when it has looked: 1I/'Oumuamua, JPL's orbit.
NEVER_NEAR = {
    "object": {
        "designation": "1I",
        "elements": {
            "epoch_tdb_jd": 2458080.5, "eccentricity": 1.201133796102373, "inclination_deg": 122.7417062847286,
            "longitude_of_ascending_node_deg": 24.59690955523242, "argument_of_perihelion_deg": 241.8105360304898,
            "perihelion_distance_au": 0.2559115812959116, "perihelion_time_tdb_jd": 2458006.0073214,
        },
    },
    "from_tdb_jd": 2458081,
    "to_tdb_jd": 2458200,
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """An HTTP reply, headers in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


def ask(address, path, body=None, *, verb=None, headers=None, tls=None, timeout_s=20):
    """One HTTP/1.1 request: bytes, or what becomes JSON."""
    host, _, port = address.rpartition(":")
    kind = http.client.HTTPConnection if tls is None else http.client.HTTPSConnection
    options = {} if tls is None else {"context": tls}
    connection = kind(host, int(port), timeout=timeout_s, **options)
    try:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        wanted = (JSON if headers is None else headers) if content is not None else headers or {}
        connection.request(verb or ("GET" if content is None else "POST"), path, content, wanted)
        reply = connection.getresponse()
        return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
    finally:
        connection.close()


def raw_reply(address, request):
    """All that comes back for some bytes, trailers included."""
    host, _, port = address.rpartition(":")
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=20)) as asking:
        parts = []
        # A server that has seen enough answers and closes: what it said may come before all is sent.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            asking.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            while part := asking.recv(65536):
                parts.append(part)
    return b"".join(parts)


def problem_of(reply):
    """A reply's problem document; fails where it is none."""
    assert reply.headers["content-type"] == "application/problem+json", (reply.status, reply.headers, reply.body[:300])
    document = reply.json()
    assert document["status"] == reply.status
    assert document["request_id"] == reply.headers["x-request-id"]
    return document


@dataclass(frozen=True)
class Edge:
    """A running Envoy."""

    address: str
    metrics: str
    log: Path

    def accesses(self):
        """Lines of the access log so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stats(self):
        """Metrics by name with labels."""
        lines = ask(self.metrics, "/stats/prometheus").body.decode().splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))}

    def healthy_fronts(self):
        return self.stats()['envoy_cluster_membership_healthy{envoy_cluster_name="front"}']


@contextlib.contextmanager
def running_edge(folder, fronts, **settings):
    """Envoy as the project renders it, before some fronts; at least one of them is healthy when this is entered."""
    chosen = EdgeSettings(
        **{
            "address": free_address(),
            "metrics_address": free_address(),
            "front_addresses": ",".join(fronts),
            "workers": 1,
            **settings,
        }
    )
    config = render(chosen, folder, health_interval_s=0.2)
    log = folder / "envoy.log"
    command = [_program(chosen), "--config-path", config, "--concurrency", "1", "--log-level", "error"]
    command += ["--file-flush-interval-msec", "100"]
    with (
        log.open("wb") as out,
        subprocess.Popen([*command, "--disable-hot-restart"], stdout=out, stderr=out) as process,
    ):
        try:
            edge = Edge(chosen.address, chosen.metrics_address, log)
            _await_healthy(edge, process)
            yield edge
        finally:
            process.terminate()


def _await_healthy(edge, process):
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, KeyError):
            if edge.healthy_fronts() > 0:
                return
        assert process.poll() is None, edge.log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, edge.log.read_text(encoding="utf-8")
        time.sleep(0.05)


def client_tls(ca, certificate=None, key=None):
    """TLS that trusts one authority, with a certificate of its own or none."""
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def in_flight(stack):
    """Simulations in the pod."""
    lines = ask(stack["simulation_metrics"], "/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("grpc_server_in_flight{"))


def until(holds, seconds=10):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
