# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy's life: started from a rendered folder, drained before it ends (by itself it drops what is in flight)."""

import contextlib
import http.client
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from gateway.edge.settings import EdgeSettings

_POLL_S = 0.05


def supervise(program: Path, folder: Path, settings: EdgeSettings) -> int:
    """Run Envoy until SIGTERM or SIGINT, or until it ends by itself.

    Args:
        program: Envoy.
        folder: what `render` wrote.
        settings: of the edge.

    Returns:
        Envoy's exit code.
    """
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    command = [str(program), "--config-path", str(folder / "envoy.yaml"), "--concurrency", str(settings.workers)]
    # Several edges may run on one machine: none takes part in Envoy's hot restart.
    command += ["--log-level", settings.log_level, "--disable-hot-restart", "--file-flush-interval-msec", "1000"]
    with subprocess.Popen(command, start_new_session=True) as envoy:  # noqa: S603  # Envoy, with paths of ours
        while envoy.poll() is None and not stop.wait(_POLL_S):
            pass
        if envoy.poll() is None:
            _drain(folder / "admin.sock", settings)
            envoy.terminate()
        return envoy.wait()


def _drain(admin: Path, settings: EdgeSettings) -> None:
    """Say "not healthy", close idle connections, and wait for the calls in flight."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        _ask(admin, "POST", "/healthcheck/fail")
        _ask(admin, "POST", "/drain_listeners?graceful&skip_exit")
        time.sleep(settings.drain_delay_s)
        deadline = time.monotonic() + settings.grace_s
        while time.monotonic() < deadline and _calls_in_flight(admin):
            time.sleep(_POLL_S)


def _calls_in_flight(admin: Path) -> int:
    stats = _ask(admin, "GET", "/stats?filter=^http.edge.downstream_rq_active$")
    return int(stats.rpartition(":")[2] or 0)


def _ask(admin: Path, verb: str, path: str) -> str:
    """One question to Envoy's admin socket."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as asking:
        asking.settimeout(1.0)
        asking.connect(str(admin))
        connection = http.client.HTTPConnection("admin", timeout=1.0)
        connection.sock = asking
        connection.request(verb, path)
        return connection.getresponse().read().decode()
