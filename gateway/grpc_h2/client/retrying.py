# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a call that failed is tried again, and when (gRFC A6)."""

from __future__ import annotations

import random
from typing import Final

import grpc

from gateway.grpc_h2.client.ended import Ended

# Attempts at a call that found no server, or (if its method is idempotent) lost it before the server began to answer.
_MOST_ATTEMPTS: Final = 4
_FIRST_BACKOFF_S: Final = 0.05
_MOST_BACKOFF_S: Final = 0.5
# What no server has seen is sent again at once, so often.
_MOST_UNSEEN: Final = 2


class Retries:
    """Failures of one call.

    Attributes:
        failures: attempts that failed, those left out that no server has seen.
    """

    __slots__ = ("_unseen", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._unseen = 0

    def after(self, ended: Ended, *, was_sent: bool, idempotent: bool) -> float | None:
        """When to try again, in seconds from now; None for never.

        Args:
            ended: how the attempt failed.
            was_sent: whether there was an attempt at all, or only no connection.
            idempotent: whether the server may do twice what it was asked.
        """
        if ended.unseen and self._unseen < _MOST_UNSEEN:
            self._unseen += 1
            return 0.0
        self.failures += 1
        if ended.code is not grpc.StatusCode.UNAVAILABLE or self.failures >= _MOST_ATTEMPTS:
            return None
        if was_sent and not (idempotent or ended.unseen):
            return None
        pushback_s = ended.pushback_s()
        if pushback_s is not None:
            return pushback_s if pushback_s >= 0 else None
        backoff_s: float = min(_FIRST_BACKOFF_S * 2 ** (self.failures - 1), _MOST_BACKOFF_S)
        return backoff_s * random.uniform(0.8, 1.2)  # noqa: S311  # nothing to guess
