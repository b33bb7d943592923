# SPDX-License-Identifier: GPL-3.0-or-later
"""Back-pressure in both directions of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc

from gateway.grpc_h2.errors import Malformed
from gateway.grpc_h2.wire import Framed, MessageDecoder

# Of what is sent, what may wait in the connection before whoever writes has to.
_MOST_QUEUED: Final = 64 * 1024
# Of what comes, what may wait to be read before its sender has to.
MOST_UNREAD: Final = 64 * 1024


class Inbox(AsyncIterator["Framed"]):
    """Messages of one direction of a call, for their reader. A peer whose messages are not read gets no more credit.

    Attributes:
        decoder: makes messages of the bytes; None until headers have told how.
    """

    def __init__(
        self,
        release_credit: Callable[[int], None],
        decoder: MessageDecoder | None = None,
        may_grow: Callable[[], bool] = lambda: True,
    ) -> None:
        """Begin empty.

        Args:
            release_credit: called with a number of bytes when so many more may be sent.
            decoder: see the attribute.
            may_grow: whether a message may be received that is larger than what may wait. `release` when that changes.
        """
        self.decoder = decoder
        self._may_grow = may_grow
        self._release_credit = release_credit
        self._uncredited = 0
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, data: bytes) -> int:
        """Keep bytes that were received; returns how many more may be sent at once.

        Raises:
            Malformed: the message they begin is too large.
        """
        if self.decoder is None:
            raise AssertionError("a body comes after headers")
        self._uncredited += len(data)
        self.decoder.add(data)
        wake(self._waiter)
        return self._credit()

    def close(self) -> None:
        """Nothing more arrives."""
        self._closed = True
        wake(self._waiter)

    async def __anext__(self) -> Framed:
        """The next message.

        Raises:
            Malformed: it is too large, or incomplete at the end.
        """
        decoder = self.decoder
        while decoder is None or (message := decoder.next_message()) is None:
            if self._closed:
                if decoder is not None and decoder.in_the_middle:
                    raise Malformed(grpc.StatusCode.INTERNAL, "the stream ends within a message")
                raise StopAsyncIteration
            self.release()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            decoder = self.decoder
        self.release()
        return message

    def release(self) -> None:
        """Give credit for what may be received now."""
        if (credit := self._credit()) > 0:
            self._release_credit(credit)

    def _credit(self) -> int:
        """Bytes to give credit for now: none while more than 64 KiB wait, but for a message that may grow."""
        decoder = self.decoder
        if (
            decoder is not None
            and decoder.buffered > MOST_UNREAD
            and (decoder.may_have_message or not self._may_grow())
        ):
            return 0
        credit, self._uncredited = self._uncredited, 0
        return credit


class Outbox:
    """Bytes of one call that wait to be sent.

    Attributes:
        queued: how many.
    """

    def __init__(self) -> None:
        self.queued = 0
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self, queued: int) -> None:
        """Set how many bytes wait."""
        self.queued = queued
        if queued <= _MOST_QUEUED // 2:
            wake(self._waiter)

    def close(self) -> None:
        """Nothing more is sent; writers go on."""
        self._closed = True
        wake(self._waiter)

    async def room(self) -> None:
        """Wait while the peer does not read."""
        while self.queued > _MOST_QUEUED and not self._closed:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


def wake(waiter: asyncio.Future[None] | None) -> None:
    """Wake the waiting task, if there is one."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
