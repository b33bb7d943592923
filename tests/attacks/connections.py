# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests import raw_http2 as wire
from tests.attacks.peer import UNARY, Attack, Peer


async def slow_headers(peer: Peer) -> AsyncIterator[bytes]:
    """A header block that comes byte by byte."""
    head = wire.request(peer.stream(), UNARY, end=False)
    for byte in head[:-1]:
        yield bytes([byte])
        await asyncio.sleep(0.2)
    await asyncio.sleep(3600)


async def idle(peer: Peer) -> AsyncIterator[bytes]:
    """Nothing at all, after a proper beginning."""
    del peer
    await asyncio.sleep(3600)
    yield b""


async def silent(peer: Peer) -> AsyncIterator[bytes]:
    """Not even a beginning."""
    async for nothing in idle(peer):
        yield nothing


async def churn(peer: Peer) -> AsyncIterator[bytes]:
    """Connections that are opened and closed, as quickly as they go."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", peer.port)
            writer.write(wire.PREFACE + wire.frame(wire.SETTINGS))
            writer.transport.abort()
        yield b""


async def half_frames(peer: Peer) -> AsyncIterator[bytes]:
    """A frame that begins and does not go on."""
    yield wire.request(peer.stream(), UNARY, end=False) + wire.frame(wire.DATA, 0, 1, bytes(16_000))[:8_000]
    await asyncio.sleep(3600)


ATTACKS = {
    "slow_headers": Attack(slow_headers, 200),
    "idle": Attack(idle, 2_000),
    "silent": Attack(silent, 500, greets=False, breaks_rules=True),
    "churn": Attack(churn, 8),
    "half_frames": Attack(half_frames, 1_000),
}
