# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for calls under way in a pod, shared between those who call it.

A call holds a place while the pod works for it. While it waits for its caller (to read, or to send the next message),
it gives its place back, and takes one again before work goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from math import inf
from typing import Final, TypeAlias

Sharer: TypeAlias = tuple[str, str]
"""Who calls: an address or a name, and one of its connections."""

# However many sharers there are, no more than so many times the places are taken.
_MOST_TIMES: Final = 4


class Places:
    """How many calls are under way, by sharer.

    With no place left, a sharer gets one nevertheless as long as it holds less than its share: an equal part of all
    places for each address, and of these for each of its connections. N connections that come one after the other and
    keep what they get take 1 + ln N times the places so; at four times, nobody gets another.
    """

    def __init__(self, most: int | None) -> None:
        """Begin empty.

        Args:
            most: places; None for as many as are asked for.
        """
        self._most: Final = inf if most is None else most
        self._taken = 0
        self._held: Counter[Sharer] = Counter()
        # Connections with calls under way, by address.
        self._connections: Counter[str] = Counter()
        # Streams that wait for a place to go on, by sharer; the sharers take turns.
        self._waiting: OrderedDict[Sharer, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def is_free(self) -> bool:
        """Whether any sharer gets a place."""
        return self._taken < self._most

    def admits(self, sharer: Sharer) -> bool:
        """Whether this sharer gets a place."""
        if self._taken >= _MOST_TIMES * self._most:
            return False
        return self.is_free or self._held[sharer] < self._share_of(sharer)

    def take(self, sharer: Sharer) -> bool:
        """Take a place, if this sharer gets one."""
        if not self.admits(sharer):
            return False
        self._taken += 1
        self._held[sharer] += 1
        if self._held[sharer] == 1:
            self._connections[sharer[0]] += 1
        return True

    async def wait_for(self, sharer: Sharer) -> None:
        """Take a place, and wait for it if need be."""
        if self.take(sharer):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(sharer, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # It was given the place in the same moment.
                self.free(sharer)
            raise

    def free(self, sharer: Sharer) -> None:
        """Give a place back."""
        self._taken -= 1
        self._held[sharer] -= 1
        if not self._held[sharer]:
            del self._held[sharer]
            self._connections[sharer[0]] -= 1
            if not self._connections[sharer[0]]:
                del self._connections[sharer[0]]
        if self._waiting:
            self._hand_on()

    def _hand_on(self) -> None:
        """Give the place that is free to a stream that waits, if its sharer gets one."""
        for sharer in list(self._waiting):
            waiters = self._waiting[sharer]
            while waiters and waiters[0].done():
                waiters.popleft()
            if not waiters:
                del self._waiting[sharer]
            elif self.take(sharer):
                waiters.popleft().set_result(None)
                self._waiting.move_to_end(sharer)
                return

    def _share_of(self, sharer: Sharer) -> float:
        address = sharer[0]
        addresses = len(self._connections) + (address not in self._connections)
        connections = self._connections[address] + (sharer not in self._held)
        return self._most // (addresses * connections)


class Place:
    """The place of one call.

    Attributes:
        is_held: whether the call has it now.
    """

    __slots__ = ("_again", "_is_wanted", "_places", "_sharer", "is_held")

    def __init__(self, places: Places, sharer: Sharer) -> None:
        """Take it, if there is one.

        Args:
            places: of the pod.
            sharer: who calls.
        """
        self._places = places
        self._sharer = sharer
        self.is_held = self._is_wanted = places.take(sharer)
        self._again: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """Give it back until `again`."""
        self._is_wanted = False
        if self.is_held:
            self.is_held = False
            self._places.free(self._sharer)

    async def again(self) -> None:
        """Take it again, and wait for it if need be."""
        self._is_wanted = True
        if self.is_held:
            return
        if self._again is None:
            if self._places.take(self._sharer):
                self.is_held = True
                return
            # The reader and the writer of a stream may both wait for it.
            self._again = asyncio.get_running_loop().create_task(self._wait())
        await asyncio.shield(self._again)

    def close(self) -> None:
        """Give it back for good."""
        self.leave()
        if self._again is not None:
            self._again.cancel()

    async def _wait(self) -> None:
        await self._places.wait_for(self._sharer)
        self._again = None
        self.is_held = True
        if not self._is_wanted:
            self.leave()
