# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller does with replies: awaits the only one, or reads a stream of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any, Final

import grpc

from gateway.grpc_h2.client.call import Call
from gateway.grpc_h2.client.ended import LOCALLY_CANCELLED, by_malformed
from gateway.grpc_h2.errors import Malformed

ITERATING, READING = "iterating", "reading"
MIXED: Final = "The iterator and read/write APIs may not be mixed on a single RPC."


class OneReply(Call):
    """A call whose method answers with one message."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        """The reply; the same however often it is awaited.

        Raises:
            grpc.aio.AioRpcError: there is none.
            asyncio.CancelledError: the call was cancelled, or its task.
        """
        while (ended := self._over) is None:
            try:
                yield from self._event()
            except asyncio.CancelledError:
                self.cancel()
                raise
        self._raise_for_status(ended)
        if self._method.parse is not None and isinstance(self._parsed, bytes):
            self._parsed = self._method.parse(self._parsed)
        return self._parsed


class ReplyStream(Call):
    """A call whose method answers with a stream of messages."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        """The replies; the same iterator however often it is asked for.

        Raises:
            grpc.aio.UsageError: `read` was used before.
        """
        self._read_by(ITERATING)
        if self._iterator is None:
            self._iterator = self._each()
        return self._iterator

    def cancel(self) -> bool:
        """End it, wherever it is; replies that were not read are dropped. False where there is nothing to end."""
        if self._over is not None and self._has_unread:
            self._over = LOCALLY_CANCELLED
            return True
        return super().cancel()

    async def read(self) -> Any:
        """The next reply, or `grpc.aio.EOF`.

        Raises:
            grpc.aio.AioRpcError: the call has ended, and not well.
            grpc.aio.UsageError: the replies were iterated over before.
        """
        if self._over is not None and not self._has_unread:
            self._raise_for_status(self._over)
            return grpc.aio.EOF
        self._read_by(READING)
        return await self._next()

    async def _each(self) -> AsyncIterator[Any]:
        while (reply := await self._next()) is not grpc.aio.EOF:
            yield reply

    async def _next(self) -> Any:
        try:
            while not (self._is_answered or self._over is not None):
                await self._event()
            attempt = self._attempt
            if attempt is not None and attempt.decoder is not None and self._over is not LOCALLY_CANCELLED:
                framed = await attempt.next_reply()
                # Cancelled while this waited: what came before is not for the caller any more.
                if framed is not None and self._over is not LOCALLY_CANCELLED:
                    content = attempt.decoder.plain(framed)
                    return content if self._method.parse is None else self._method.parse(content)
        except Malformed as error:
            broken = by_malformed(error)
            self._end(broken)
            if self._over is not None and self._over.code is grpc.StatusCode.OK:
                # Its status came before this was read.
                self._over = broken
        except BaseException:
            # Its reader was cancelled, or the reply cannot be parsed: nobody reads more.
            self.cancel()
            raise
        self._raise_for_status(await self._ended())
        return grpc.aio.EOF

    @property
    def _has_unread(self) -> bool:
        decoder = None if self._attempt is None else self._attempt.decoder
        return decoder is not None and decoder.in_the_middle and self._over is not LOCALLY_CANCELLED

    def _read_by(self, style: str) -> None:
        if self._reading_style not in (None, style):
            raise grpc.aio.UsageError(MIXED)
        self._reading_style = style
