# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns of large requests: a few at a time are received and served, others wait without credit."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

_MIB: Final = 1024 * 1024
MOST_BYTES: Final = 24 * _MIB
"""Of all connections of a server."""

MOST_OF_CONNECTION: Final = 16 * _MIB
"""Of one of them."""

# While others wait: how long a message under way may stand still, and how often that is looked at.
STALLED_S: Final = 2.0
_LOOK_PERIOD_S: Final = 0.5


class Large(Protocol):
    """A call with a large message.

    Attributes:
        fed_s: when bytes of it were received last (`time.monotonic`); None once it is whole.
    """

    fed_s: float | None

    def large_granted(self) -> None:
        """It is its turn."""

    def large_stalled(self) -> None:
        """It stands still while others wait: end it, which gives its turn back."""


class LargeMessages:
    """Which large messages are received and served.

    Their bytes are limited in all and of each connection, and connections take turns. One message alone may be larger.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._granted: dict[Large, tuple[Hashable, int]] = {}
        self._bytes = 0
        self._bytes_of: dict[Hashable, int] = {}
        self._waiting: OrderedDict[Hashable, dict[Large, int]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> list[Large]:
        """Those without a turn."""
        return [call for calls in self._waiting.values() for call in calls]

    def want(self, connection: Hashable, call: Large, size: int) -> None:
        """Ask for a turn, which `large_granted` gives now or later. Ask once, and `release` in the end."""
        self._waiting.setdefault(connection, {})[call] = size
        self._grant()

    def release(self, connection: Hashable, call: Large) -> None:
        """Give the turn back, or ask for it no more."""
        if call in self._granted:
            _, size = self._granted.pop(call)
            self._bytes -= size
            self._bytes_of[connection] -= size
            if not self._bytes_of[connection]:
                del self._bytes_of[connection]
            self._grant()
        elif call in (waiting := self._waiting.get(connection, {})):
            self._remove(connection, waiting, call)

    def _grant(self) -> None:
        granted = True
        while granted:
            granted = False
            for connection in list(self._waiting):
                call, size = next(iter(self._waiting[connection].items()))
                of_connection = self._bytes_of.get(connection, 0)
                if of_connection and of_connection + size > MOST_OF_CONNECTION:
                    continue
                if self._bytes and self._bytes + size > MOST_BYTES:
                    # Whoever is first waits for room; smaller ones behind it must not overtake it for ever.
                    break
                self._remove(connection, self._waiting[connection], call)
                if connection in self._waiting:
                    self._waiting.move_to_end(connection)
                self._granted[call] = (connection, size)
                self._bytes += size
                self._bytes_of[connection] = of_connection + size
                granted = True
                call.large_granted()
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_PERIOD_S, self._look)

    def _remove(self, connection: Hashable, waiting: dict[Large, int], call: Large) -> None:
        del waiting[call]
        if not waiting:
            del self._waiting[connection]

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        latest_s = monotonic() - STALLED_S
        for call in list(self._granted):
            if call in self._granted and call.fed_s is not None and call.fed_s < latest_s:
                call.large_stalled()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_PERIOD_S, self._look)
