# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Redis for tests."""

import contextlib
import shutil
import socket
import subprocess
import time

import pytest

from tests.pods import free_address

NEEDED = pytest.mark.long("Redis: apt-get install redis-server")


@contextlib.contextmanager
def running_redis(folder):
    """The URL of a server on a free port, and its process."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no Redis: apt-get install redis-server")
    address = free_address()
    port = address.rpartition(":")[2]
    command = [server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline_s = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", int(port)), timeout=1):
                    break
            except OSError:
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
        yield f"redis://{address}/0", process
        process.terminate()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url
