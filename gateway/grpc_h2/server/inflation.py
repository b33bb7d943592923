# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompresses requests on a thread, so that the event loop goes on, and bounds what one connection may inflate."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from gateway.grpc_h2.wire import Framed, MessageDecoder

if TYPE_CHECKING:
    from gateway.grpc_h2.server.context import Context

# zlib does 0.5 to 1 GB/s; a second thread would only take time from the event loop.
_THREADS: Final = ThreadPoolExecutor(1, "inflate")
# A request of so many bytes, decompressed, is served alone among the compressed ones of its connection.
_LARGE_BYTES: Final = 1024 * 1024


class Inflation:
    """Compressed requests of one connection: one at a time is decompressed."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._holder: Context | None = None

    async def plain(self, call: Context, messages: MessageDecoder, framed: Framed) -> bytes:
        """A message, decompressed.

        Args:
            call: whose request it is.
            messages: knows the encoding.
            framed: as it arrived.

        Raises:
            Malformed: it is too large, or cannot be decompressed.
        """
        if self._holder is not call:
            await self._turn.acquire()
            self._holder = call
        large = False
        try:
            message = await asyncio.get_running_loop().run_in_executor(_THREADS, messages.plain, framed)
            large = len(message) > _LARGE_BYTES
        finally:
            if not large:
                self._release(call)
        if large and call.done():
            self._release(call)
        elif large:
            # Its memory is free again when the call has ended.
            call.add_done_callback(self._release)
        return message

    def _release(self, call: Context) -> None:
        if self._holder is call:
            self._holder = None
            self._turn.release()
