# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one attack, and prints how often it was cut off and how many bytes the server took.

Each attack writes raw frames as quickly as the server reads them, connects again when it is cut off, and ends by
itself.
"""

import asyncio
import contextlib
import sys
import time

from tests import raw_http2 as wire
from tests.attacks import ATTACKS
from tests.attacks.peer import Attack, Peer


async def run(attack: Attack, port: int, seconds: float, connections: int | None = None) -> tuple[int, int]:
    """Run an attack for so long; how often one of its connections was cut off, and bytes taken."""
    cut_off = sent_bytes = 0
    deadline_s = time.monotonic() + seconds

    async def one() -> None:
        nonlocal cut_off, sent_bytes
        while time.monotonic() < deadline_s:
            greeting: list[tuple[int, int, int, bytes]] = []
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                async with wire.raw(port, greet=attack.greets, settings=attack.settings) as (reader, writer):
                    if attack.greets:
                        # The windows that the server's settings open are open once they are acknowledged.
                        greeting = await wire.frames(reader, until=wire.SETTINGS)
                        writer.write(wire.frame(wire.SETTINGS, 1))
                    # Written at once what the socket takes: what it does not take waits here.
                    peer = Peer(reader, writer, port)
                    for frame in greeting:
                        peer.granted(*frame)
                    reading = asyncio.ensure_future(_read(peer) if attack.reads else _ended(reader))
                    acting = asyncio.ensure_future(_act(peer, attack))
                    try:
                        await asyncio.wait({reading, acting}, return_when=asyncio.FIRST_COMPLETED)
                        if acting.done():
                            # An attack that fails by itself attacks nothing.
                            acting.result()
                        cut_off += reading.done() or writer.is_closing()
                        writer.transport.abort()
                    finally:
                        sent_bytes += peer.sent_bytes
                        for task in (reading, acting):
                            task.cancel()
                        await asyncio.gather(reading, acting, return_exceptions=True)
            await asyncio.sleep(0.05)

    tasks = [asyncio.ensure_future(one()) for _ in range(connections or attack.connections)]
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return cut_off, sent_bytes


async def _act(peer: Peer, attack: Attack) -> None:
    with contextlib.suppress(OSError):
        async for content in attack.act(peer):
            await peer.send(content)
            # A server that reads quicker than this writes lets `send` never wait: the time would never be up.
            await asyncio.sleep(0)


async def _read(peer: Peer) -> None:
    """Read all frames, and note what they grant."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await peer.reader.readexactly(9)
            payload = await peer.reader.readexactly(int.from_bytes(head[:3]))
            peer.granted(head[3], head[4], int.from_bytes(head[5:]), payload)


async def _ended(reader: asyncio.StreamReader) -> None:
    """Wait for the end without reading: the transport stops reading once its buffer is full."""
    while not reader.at_eof():
        await asyncio.sleep(0.1)


def main() -> None:
    """Run the attack that the command line names."""
    name, port, seconds, *connections = sys.argv[1:]
    print(*asyncio.run(run(ATTACKS[name], int(port), float(seconds), *map(int, connections))))  # noqa: T201


if __name__ == "__main__":
    main()
