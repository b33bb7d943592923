# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's interop cases in Python: the clients and servers of both transports, each with each."""

import contextlib

import grpc
import pytest

from gateway.grpc_h2 import Channel
from tests.interop.cases import CASES, SOAK_CALLS, empty_unary, large_unary
from tests.interop.service import MAX_MESSAGE_BYTES, TRANSPORTS, serving
from tests.interop.tap import tapped

PAIRS = [(client, server) for client in TRANSPORTS for server in TRANSPORTS]


def open_channel(transport, port):
    """A channel of one transport."""
    target = f"127.0.0.1:{port}"
    if transport == "grpc_h2":
        return Channel(target, max_message_bytes=MAX_MESSAGE_BYTES)
    return grpc.aio.insecure_channel(target, options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])


@contextlib.asynccontextmanager
async def calling(client, server):
    """(channel, tap)."""
    async with serving(server) as port, tapped(port) as tap, open_channel(client, tap.port) as channel:
        yield channel, tap


@pytest.mark.parametrize(("client", "server"), PAIRS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_interop(case, client, server):
    async with calling(client, server) as (channel, tap):
        await case(channel, tap)


@pytest.mark.parametrize(("client", "server"), PAIRS)
async def test_channel_soak(client, server):
    """Each call has a channel of its own."""
    async with serving(server) as port, tapped(port) as tap:
        for _ in range(SOAK_CALLS):
            async with open_channel(client, port) as channel:
                await large_unary(channel, tap)
        async with open_channel(client, tap.port) as channel:
            await empty_unary(channel, tap)
