# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose work is next: equal shares for callers, short work first, and equal shares for the requests of one caller.

Three levels, each shared by start-time fair queueing (Goyal, Vin & Cheng 1996, SIGCOMM, section 2): whoever has used
least is served next, and whoever comes new starts at the virtual time of the level, so that it neither waits for the
long past of others nor is paid for its own.

- Between callers, by the seconds that each has used. A caller with short work goes ahead of the others by at most
  `LEAD_S` (borrowed virtual time: Duda & Cheriton 1999, SOSP, section 2): what it uses is counted all the same, so that
  in the long run it has no more than its share.
- Within a caller, between short and long work, 3 : 1 while both wait, short first.
- Within these, between requests.

What a piece of work costs is known only afterwards: an expectation is counted when it is given out, and replaced by the
cost when it has come back.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

LEAD_S: Final = 5.0
"""Seconds of work by which a caller with short work may be ahead of its share."""

_SHORT_WEIGHT: Final = 3.0


@dataclass(slots=True)
class _Level:
    """What the children of one parent have used, in seconds of virtual time.

    Attributes:
        used_s: of each child.
        active: how many pieces of each child wait or are being worked on.
        now_s: the virtual time.
    """

    used_s: dict[Hashable, float] = field(default_factory=dict)
    active: Counter[Hashable] = field(default_factory=Counter)
    now_s: float = 0.0

    def enter(self, child: Hashable) -> None:
        """Count a piece of a child; one that had none starts at the virtual time."""
        if not self.active[child]:
            self.used_s[child] = max(self.used_s.get(child, 0.0), self.now_s)
        self.active[child] += 1

    def serve(self, child: Hashable, *, lead_s: float = 0.0) -> None:
        """Let a child have a turn: the virtual time is what it had used before, less what it may be ahead."""
        self.now_s = max(self.now_s, self.used_s[child] - lead_s)

    def leave(self, child: Hashable) -> None:
        """Count a piece of a child less."""
        self.active[child] -= 1
        if not self.active[child]:
            del self.active[child]

    def copy(self) -> "_Level":
        """One that may be changed."""
        return _Level(dict(self.used_s), Counter(self.active), self.now_s)


@dataclass(slots=True)
class _Caller:
    """Levels within a caller."""

    classes: _Level = field(default_factory=_Level)
    requests: _Level = field(default_factory=_Level)


@dataclass(frozen=True, slots=True, eq=False)
class Turn(Generic[T]):
    """A piece of work in the queue, or given out.

    Attributes:
        thing: what was put.
        caller: whose it is.
        request: of that caller.
        short: whether it goes first.
        expected_s: what it is expected to cost.
    """

    thing: T
    caller: Hashable
    request: Hashable
    short: bool
    expected_s: float


class FairQueue(Generic[T]):
    """Things waiting, each of a request of a caller."""

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: list[Turn[T]] = []
        self._callers = _Level()
        self._within: dict[Hashable, _Caller] = {}

    def __len__(self) -> int:
        """How many things wait."""
        return len(self._waiting)

    def put(self, thing: T, *, caller: Hashable, request: Hashable, expected_s: float, short: bool = False) -> None:
        """Let a thing wait, behind those of the same request.

        Args:
            thing: to be given out by `get`.
            caller: whose it is.
            request: of the caller.
            expected_s: what it is expected to cost.
            short: whether it goes before the long things of the same caller, and a little before those of others.
        """
        within = self._within.setdefault(caller, _Caller())
        self._callers.enter(caller)
        within.classes.enter(short)
        within.requests.enter(request)
        self._waiting.append(Turn(thing, caller, request, short, expected_s))

    def get(self, fits: Callable[[T], bool] = lambda _: True) -> Turn[T] | None:
        """The next thing that fits, or None; `finish` is called when it has come back."""
        fitting = [turn for turn in self._waiting if fits(turn.thing)]
        if not fitting:
            return None
        caller = min(fitting, key=self._effective_s).caller
        within = self._within[caller]
        turn = min(
            (turn for turn in fitting if turn.caller == caller),
            key=lambda turn: (
                within.classes.used_s[turn.short],
                not turn.short,
                within.requests.used_s[turn.request],
            ),
        )
        self._waiting.remove(turn)
        self._callers.serve(caller, lead_s=LEAD_S if turn.short else 0.0)
        within.classes.serve(turn.short)
        within.requests.serve(turn.request)
        self._count(turn, turn.expected_s)
        return turn

    def finish(self, turn: Turn[T], cost_s: float) -> None:
        """Replace the expectation by what a thing has cost."""
        self._count(turn, cost_s - turn.expected_s)
        self._leave(turn)

    def remove(self, thing: T) -> None:
        """Take away a thing that need not wait any more, if it still does."""
        for turn in self._waiting:
            if turn.thing is thing:
                self._waiting.remove(turn)
                self._leave(turn)
                return

    def forget(self, caller: Hashable, request: Hashable) -> None:
        """Forget a request. A caller is forgotten with its last one, except for what it has used more than others."""
        within = self._within.get(caller)
        if within is None:
            return
        if within.requests.active[request]:
            # Asked again when its last piece has come back.
            return
        within.requests.used_s.pop(request, None)
        if not within.requests.used_s:
            del self._within[caller]
        if not self._within:
            # Nobody is left to be fair to.
            self._callers = _Level()
            return
        for gone in [name for name in self._callers.used_s if name not in self._within]:
            if self._callers.used_s[gone] <= self._callers.now_s:
                del self._callers.used_s[gone]

    def has_ahead_of(self, caller: Hashable, most_s: float) -> bool:
        """Whether more than so many seconds of work are expected before new short work of a caller.

        Asked for every call, so `ahead_of` is only reckoned where all that waits is more.
        """
        return sum(turn.expected_s for turn in self._waiting) > most_s and self.ahead_of(caller) > most_s

    def ahead_of(self, caller: Hashable) -> float:
        """Seconds of work that are expected to be given out before new short work of a caller."""
        imagined = self._copy()
        newcomer = object()
        imagined.put(newcomer, caller=caller, request=newcomer, expected_s=0.0, short=True)
        ahead_s = 0.0
        while (turn := imagined.get()) is not None and turn.thing is not newcomer:
            ahead_s += turn.expected_s
        return ahead_s

    def _effective_s(self, turn: Turn[T]) -> float:
        used_s = self._callers.used_s[turn.caller]
        return used_s - LEAD_S if turn.short else used_s

    def _count(self, turn: Turn[T], cost_s: float) -> None:
        """Add to what a caller, one of its classes and one of its requests have used."""
        self._callers.used_s[turn.caller] += cost_s
        within = self._within[turn.caller]
        within.classes.used_s[turn.short] += cost_s / _SHORT_WEIGHT if turn.short else cost_s
        within.requests.used_s[turn.request] += cost_s

    def _leave(self, turn: Turn[T]) -> None:
        self._callers.leave(turn.caller)
        within = self._within[turn.caller]
        within.classes.leave(turn.short)
        within.requests.leave(turn.request)

    def _copy(self) -> "FairQueue[Any]":
        copied: FairQueue[Any] = FairQueue()
        copied._waiting = list(self._waiting)
        copied._callers = self._callers.copy()
        copied._within = {
            caller: _Caller(within.classes.copy(), within.requests.copy()) for caller, within in self._within.items()
        }
        return copied
