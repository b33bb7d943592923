# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests are let in: a bounded number of places, none of it for one caller alone, and no wait in vain."""

import contextlib
from collections.abc import Iterator
from typing import Final

from gateway.serving.errors import Overloaded
from gateway.simulation import metrics
from gateway.simulation.request import Request

# How much the newest request moves the mean.
_NEWEST: Final = 0.1


class Admission:
    """Places for requests.

    A caller may hold fewer places than are free (dynamic thresholds: Choudhury & Hahne 1998, IEEE/ACM Trans. Netw. 6,
    130): one caller has at most half of them, k callers at most 1 / (k + 1) each, and one is left for a newcomer.

    Attributes:
        requests: that are inside.
    """

    def __init__(self, *, places: int, workers: int, retry_after_s: float, longest_s: float) -> None:
        """All places are free.

        Args:
            places: how many there are.
            workers: how many requests are worked on at a time.
            retry_after_s: the least time after which a refused caller is to come back.
            longest_s: the longest.
        """
        self.requests: set[Request] = set()
        self._places = places
        self._workers = workers
        self._retry_after_s = retry_after_s
        self._longest_s = longest_s
        self._mean_s = 0.0

    @contextlib.contextmanager
    def place(self, request: Request, expected_wait_s: float, deadline_s: float | None) -> Iterator[None]:
        """Hold a place while entered.

        Args:
            request: that comes in.
            expected_wait_s: until its first turn.
            deadline_s: until its caller gives up; None for never.

        Raises:
            Overloaded: there is no place for this caller, or the wait is longer than its deadline.
        """
        held = sum(inside.caller == request.caller for inside in self.requests)
        if held >= self._places - len(self.requests):
            raise self._refusal(len(self.requests) * self._mean_s / self._workers)
        if deadline_s is not None and expected_wait_s >= deadline_s:
            raise self._refusal(expected_wait_s)
        self.requests.add(request)
        try:
            yield
        finally:
            self.requests.discard(request)
            self._mean_s += _NEWEST * (request.used_s - self._mean_s)

    def _refusal(self, expected_s: float) -> Overloaded:
        metrics.REFUSED.inc()
        return Overloaded(max(self._retry_after_s, min(expected_s, self._longest_s)))
