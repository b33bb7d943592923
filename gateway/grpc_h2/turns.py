# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose events are handled when: connections of one event loop take turns."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol
from weakref import WeakKeyDictionary

# Events of one connection that are handled before other connections have their turn: of requests, and of answers, which
# end work instead of beginning it, and may be those of many callers.
REQUEST_EVENTS_A_TURN: Final = 8
ANSWER_EVENTS_A_TURN: Final = 64
# Turns in one iteration of the event loop. A request's handler runs in the iteration after it: with more of them the
# loop would come back to its sockets too late.
_TURNS_AN_ITERATION: Final = 4


class Busy(Protocol):
    """A connection with events that are not handled yet."""

    def take_turn(self) -> bool:
        """Handle some events; returns whether there are more."""


class Turns:
    """Connections of one event loop that have events."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with none."""
        self._loop = loop
        self._waiting: deque[Busy] = deque()

    def add(self, connection: Busy) -> None:
        """Have a connection's events handled when it is its turn. It must not be waiting already."""
        self._waiting.append(connection)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        for _ in range(min(_TURNS_AN_ITERATION, len(self._waiting))):
            connection = self._waiting[0]
            if connection.take_turn():
                self._waiting.append(connection)
            self._waiting.popleft()
        if self._waiting:
            self._loop.call_soon(self._run)


_OF_LOOPS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Turns]] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The turns of an event loop."""
    if (turns := _OF_LOOPS.get(loop)) is None:
        turns = _OF_LOOPS[loop] = Turns(loop)
    return turns
