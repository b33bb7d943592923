# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters of calls, for channelz."""

import time
from dataclasses import dataclass
from itertools import count
from typing import Final

NUMBERS: Final = count(1)
"""What channelz calls channels and connections, in this process."""


@dataclass(slots=True)
class Tally:
    """Calls: begun, ended with OK, and with anything else; when the last one began, in seconds of the epoch."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    last_started_s: float = 0.0

    @property
    def under_way(self) -> int:
        """Begun and not ended."""
        return self.started - self.succeeded - self.failed

    def begin(self) -> None:
        """Count a call that begins."""
        self.started += 1
        self.last_started_s = time.time()

    def end(self, *, well: bool) -> None:
        """Count a call that has ended."""
        if well:
            self.succeeded += 1
        else:
            self.failed += 1
