# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a call may wait, in both directions: whoever is not read does not write."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.serving.http2.wire import Framed

# Of what is sent, what may wait in the connection before whoever writes has to.
_MOST_QUEUED: Final = 64 * 1024
# Of what comes, what may wait to be read before its sender has to.
_MOST_UNREAD: Final = 64 * 1024


class Inbox(AsyncIterator["Framed"]):
    """Messages that came, in their order; who does not read is not sent more than a little."""

    def __init__(self, consumed: Callable[[int], None]) -> None:
        """Empty.

        Args:
            consumed: told of bytes that were held back until now, and may be followed by as many.
        """
        self._consumed = consumed
        self._messages: deque[Framed] = deque()
        self._unread = self._owed = 0
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, messages: list[Framed], came: int) -> int:
        """Messages that are complete, and how many bytes came; returns how many more may come at once."""
        self._messages.extend(messages)
        self._unread += sum(map(_weight, messages))
        wake(self._waiter)
        if self._unread <= _MOST_UNREAD:
            return came
        self._owed += came
        return 0

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        wake(self._waiter)

    def forgive(self) -> None:
        """Nobody will read what the sender was held back for, and the connection is others' too."""
        owed, self._owed = self._owed, 0
        if owed:
            self._consumed(owed)

    async def __anext__(self) -> Framed:
        while not self._messages:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._messages.popleft()
        self._unread -= _weight(message)
        if self._owed and self._unread <= _MOST_UNREAD:
            self.forgive()
        return message


class Outbox:
    """How much of what was sent is still here."""

    def __init__(self) -> None:
        self._queued = 0
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all of it is on its way."""
        return self._queued == 0

    def set(self, queued: int) -> None:
        """So many bytes wait now."""
        self._queued = queued
        if queued <= _MOST_QUEUED // 2:
            wake(self._waiter)

    def close(self) -> None:
        """Nothing is sent any more."""
        self._closed = True
        wake(self._waiter)

    async def room(self) -> None:
        """Wait while the peer does not read."""
        while self._queued > _MOST_QUEUED and not self._closed:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


def wake(waiter: asyncio.Future[None] | None) -> None:
    """Let whoever waits go on, if anybody does."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _weight(framed: Framed) -> int:
    """The smallest messages weigh something too."""
    return len(framed[1]) + 64
