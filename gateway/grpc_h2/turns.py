# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose events are handled when: connections of one event loop take turns."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol
from weakref import WeakKeyDictionary

# Events of one connection that are handled in one turn. A turn ends in a write, so short turns cost processor time.
_EVENTS_A_TURN: Final = 64
# The same for requests while other connections wait. Answers end work instead of beginning it, and may be those of many
# callers.
_REQUESTS_WHILE_OTHERS_WAIT: Final = 8
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

    def events_a_turn(self, connection: Busy, *, is_client: bool) -> int:
        """How many events a connection may handle now, before others have their turn."""
        others_wait = len(self._waiting) > 1 or (len(self._waiting) == 1 and self._waiting[0] is not connection)
        return _REQUESTS_WHILE_OTHERS_WAIT if others_wait and not is_client else _EVENTS_A_TURN

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
