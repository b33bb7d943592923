# SPDX-License-Identifier: Apache-2.0
"""Calls that change something, made again until they are acknowledged: under one request_id they happen once."""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING, Final

import grpc

if TYPE_CHECKING:
    from orrery.inference import v1
    from orrery.inference.errors import InferenceError

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0


class Patience:
    """How often one request is made, and when."""

    def __init__(self, request: v1.SubmitClassificationRequest | v1.EraseContributorRequest, patience_s: float) -> None:
        """Begin now.

        Args:
            request: gets a request_id here if it has none, and keeps it.
            patience_s: from now until it is given up.
        """
        if not request.request_id:
            request.request_id = str(uuid.uuid4())
        self._end_s = time.monotonic() + patience_s
        self._pause_s = FIRST_PAUSE_S

    @property
    def left_s(self) -> float:
        """For the next attempt; 0 or more."""
        return max(0.0, self._end_s - time.monotonic())

    def pause_s(self, refusal: InferenceError) -> float | None:
        """How long to wait before the next attempt.

        Args:
            refusal: of the last one.

        Returns:
            None if there is to be none: trying again would not help, or not in time.
        """
        told_s = refusal.retry_after_s
        full = refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED and told_s is not None
        if not full and refusal.code is not grpc.StatusCode.UNAVAILABLE:
            return None
        # Spread out: many callers lose the same server at the same moment.
        pause_s = max(told_s or 0.0, self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreading, no secret
        self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S)
        return pause_s if pause_s < self.left_s else None
