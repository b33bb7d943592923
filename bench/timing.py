# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of several contenders in one run, taken in turns so that a busy machine is as unfair to each of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

REPEATS = 7


@dataclass(frozen=True, slots=True)
class Spread:
    """Wall-clock seconds of the repeats."""

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The middle one."""
        return median(self.seconds)

    def __str__(self) -> str:
        return f"{self._ms(self.median_s)} ms ({self._ms(min(self.seconds))} to {self._ms(max(self.seconds))})"

    @staticmethod
    def _ms(seconds: float) -> str:
        return f"{1e3 * seconds:,.3g}" if seconds < 1.0 else f"{1e3 * seconds:,.0f}"


def in_turns(contenders: Mapping[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, Spread]:
    """Call each once to warm up, then all in turns, `repeats` times."""
    for call in contenders.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, call in contenders.items():
            start_s = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start_s)
    return {name: Spread(tuple(values)) for name, values in seconds.items()}
