# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's interop cases by grpc-js and grpc-java, against servers of both transports."""

import asyncio

import pytest

from tests.examples import built
from tests.interop import cases
from tests.interop.runners import RUNNERS
from tests.interop.service import TRANSPORTS, serving
from tests.interop.tap import tapped

LANGUAGES = [
    pytest.param("grpc-js", marks=pytest.mark.long("Node: apt-get install nodejs npm")),
    pytest.param("grpc-java", marks=pytest.mark.long("grpc-java: tests/interop/README.md names the packages")),
]
# There is no cache to ask.
LEFT_OUT = {
    "grpc-js": {cases.cacheable_unary},
    "grpc-java": {cases.cacheable_unary, cases.half_duplex, cases.concurrent_large_unary},
}
# Of the messages in one direction, which are compressed. grpc-js compresses whole channels.
REQUESTS, REPLIES = 0, 1
COMPRESSED = {
    "client_compressed_unary": (REQUESTS, [True, False]),
    "server_compressed_unary": (REPLIES, [True, False]),
    "client_compressed_streaming": (REQUESTS, [True, False]),
    "server_compressed_streaming": (REPLIES, [True, False]),
}


async def run(runner, port, *names):
    """The names of the cases that hold."""
    # The build may install packages: it is not timed.
    command = await asyncio.to_thread(built, RUNNERS[runner])
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(command, str(port), *names, stdout=pipe, stderr=pipe)
    shown, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, (shown.decode(), errors.decode())
    return shown.decode().split()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", TRANSPORTS)
@pytest.mark.parametrize("runner", LANGUAGES)
async def test_interop(runner, server):
    names = [case.__name__ for case in cases.CASES if case not in LEFT_OUT[runner]]
    async with serving(server) as port:
        assert await run(runner, port, *names) == names


@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", TRANSPORTS)
@pytest.mark.parametrize("runner", LANGUAGES)
@pytest.mark.parametrize("name", COMPRESSED)
async def test_what_is_compressed(name, runner, server):
    direction, expected = COMPRESSED[name]
    if (runner, name) == ("grpc-js", "client_compressed_streaming"):
        expected = [True, True]
    async with serving(server) as port, tapped(port) as tap:
        assert await run(runner, tap.port, name) == [name]
        assert [compressed for compressed, _ in tap.messages()[direction]] == expected
