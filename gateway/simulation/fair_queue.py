# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose job is next: workers are shared evenly between callers, and within a caller between its requests.

Start-time fair queueing (Goyal, Vin & Cheng 1996, SIGCOMM, section 2), once at each of the two levels: whoever has had
least is served next, and whoever comes new starts at the virtual time of the one being served, so that it neither
waits for the long past of others nor makes up for its own. What a job costs is known only afterwards: it is charged a
guess when it is given out, and the difference when it has come back.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Level:
    """What children of one parent have had, in seconds of virtual time."""

    now_s: float = 0.0
    had_s: dict[Hashable, float] = field(default_factory=dict)

    def enter(self, child: Hashable) -> None:
        """A child has something to do again."""
        self.had_s[child] = max(self.had_s.get(child, 0.0), self.now_s)

    def serve(self, child: Hashable, guess_s: float) -> None:
        self.now_s = max(self.now_s, self.had_s[child])
        self.had_s[child] += guess_s

    def leave(self, child: Hashable) -> None:
        """Forget a child; not before its debt is paid."""
        if self.had_s.get(child, 0.0) <= self.now_s:
            self.had_s.pop(child, None)


class FairQueue(Generic[T]):
    """Things waiting, each of a request of a caller."""

    def __init__(self) -> None:
        """Begin empty."""
        self._callers = _Level()
        self._requests: dict[Hashable, _Level] = {}
        self._waiting: dict[Hashable, dict[Hashable, deque[T]]] = {}
        self._length = 0

    def __len__(self) -> int:
        """How many things wait."""
        return self._length

    def put(self, caller: Hashable, request: Hashable, thing: T) -> None:
        """Let a thing wait, behind those of the same request."""
        if caller not in self._waiting:
            self._waiting[caller] = {}
            self._callers.enter(caller)
        requests = self._waiting[caller]
        if request not in requests:
            requests[request] = deque()
            self._requests.setdefault(caller, _Level()).enter(request)
        requests[request].append(thing)
        self._length += 1

    def get(self, guess_s: float) -> T:
        """The next thing, whose caller and request are charged a guess of what it will cost.

        Raises:
            LookupError: nothing waits.
        """
        if not self._length:
            raise LookupError("nothing waits")
        caller = min(self._waiting, key=self._callers.had_s.__getitem__)
        requests, level = self._waiting[caller], self._requests[caller]
        request = min(requests, key=level.had_s.__getitem__)
        self._callers.serve(caller, guess_s)
        level.serve(request, guess_s)
        thing = requests[request].popleft()
        self._length -= 1
        if not requests[request]:
            del requests[request]
        if not requests:
            del self._waiting[caller]
        return thing

    def charge(self, caller: Hashable, request: Hashable, more_s: float) -> None:
        """Correct a guess: what a thing cost more (or less) than was charged."""
        for level, child in ((self._callers, caller), (self._requests.get(caller), request)):
            if level is not None and child in level.had_s:
                level.had_s[child] += more_s

    def remove(self, caller: Hashable, request: Hashable, thing: T) -> None:
        """Take away a thing that need not wait any more, if it still does."""
        requests = self._waiting.get(caller, {})
        if thing in requests.get(request, ()):
            requests[request].remove(thing)
            self._length -= 1
            if not requests[request]:
                del requests[request]
            if not requests:
                del self._waiting[caller]

    def forget(self, caller: Hashable, request: Hashable) -> None:
        """A request is over. A caller is forgotten with its last, but for what it has had more than others."""
        level = self._requests.get(caller)
        if level is not None:
            level.had_s.pop(request, None)
            if not level.had_s:
                del self._requests[caller]
        if not self._requests:
            # Nobody is left to be fair to.
            self._callers = _Level()
            return
        for gone in [name for name in self._callers.had_s if name not in self._requests]:
            self._callers.leave(gone)
