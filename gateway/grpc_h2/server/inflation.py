# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompresses requests on a thread, so that the event loop goes on; large ones in turn."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from gateway.grpc_h2.wire import Framed, MessageDecoder

if TYPE_CHECKING:
    from collections.abc import Hashable

    from gateway.grpc_h2.server.context import Context
    from gateway.grpc_h2.server.large_messages import LargeMessages

# zlib does 0.5 to 1 GB/s; a second thread would only take time from the event loop.
_THREADS: Final = ThreadPoolExecutor(1, "inflate")
# A larger message waits for its turn, and its call keeps the turn until it has ended.
_LARGE_BYTES: Final = 1024 * 1024


class Inflation:
    """Compressed requests of one connection: one at a time is decompressed."""

    def __init__(self, connection: Hashable, large: LargeMessages, max_message_bytes: int) -> None:
        """Begin with none.

        Args:
            connection: whose requests they are.
            large: turns of large ones, of all connections.
            max_message_bytes: of a request.
        """
        self._connection = connection
        self._large = large
        self._max_message_bytes = max_message_bytes
        self._turn = asyncio.Lock()
        self._turns: dict[Context, _Turn] = {}

    async def plain(self, call: Context, messages: MessageDecoder, framed: Framed) -> bytes:
        """A message, decompressed.

        Args:
            call: whose request it is.
            messages: knows the encoding.
            framed: as it arrived.

        Raises:
            Malformed: it is too large, or cannot be decompressed.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            message = await loop.run_in_executor(_THREADS, messages.plain_within, framed, _LARGE_BYTES)
        if message is None:
            # Its size is not known, for nothing of it is kept while it waits.
            await self._large_turn(call)
            return await loop.run_in_executor(_THREADS, messages.plain, framed)
        return message

    async def _large_turn(self, call: Context) -> None:
        turn = self._turns.get(call)
        if turn is None:
            turn = self._turns[call] = _Turn()
            self._large.want(self._connection, turn, self._max_message_bytes)
            if call.done():
                self._release(call)
            else:
                call.add_done_callback(self._release)
        await turn.granted.wait()

    def _release(self, call: Context) -> None:
        self._large.release(self._connection, self._turns.pop(call))


class _Turn:
    """A message that waits to be decompressed."""

    fed_s: float | None = None

    def __init__(self) -> None:
        self.granted = asyncio.Event()

    def large_granted(self) -> None:
        """It is its turn."""
        self.granted.set()

    def large_stalled(self) -> None:
        """It waits for nobody."""
