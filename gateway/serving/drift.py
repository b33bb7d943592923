# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift while serving: counts of what was asked and answered, in two windows, held against what the model learnt from.

What is kept of a call are references to its arrays, for some seconds and up to a number of rows; then they are counted
into bins and forgotten. No designation, no caller, nothing of a single object is kept or shown.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import numpy as np
import structlog
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge

from gateway.drift import Reference, judge
from gateway.serving.settings import DriftSettings

PSI = Gauge(
    "orrery_drift_psi", "Population stability index against the training population.", ["model", "window", "feature"]
)
KS = Gauge("orrery_drift_ks", "Kolmogorov-Smirnov statistic at the bins' edges.", ["model", "window", "feature"])
P_VALUE = Gauge("orrery_drift_ks_p_value", "Of that statistic or more by chance.", ["model", "window", "feature"])
DRIFTED = Gauge("orrery_drift_feature_alarm", "1 where a feature has drifted.", ["model", "window", "feature"])
ALARM = Gauge("orrery_drift_alarm", "1 where any feature of the window has drifted.", ["model", "window"])
SAMPLES = Gauge("orrery_drift_samples", "Objects in the window; nothing is said below 500.", ["model", "window"])
BIN_OBJECTS = Gauge("orrery_drift_bin_objects", "Objects of the window by bin.", ["model", "window", "feature", "bin"])
LEFT_OUT = Counter("orrery_drift_left_out_total", "Objects not counted, being too many at a time.", ["model"])

log = structlog.get_logger()

_SLOTS: Final = 12
# How often what was collected is counted, and the objects that are counted each time; more are left out.
PERIOD_S = 10.0
MOST_OBJECTS = 20_000

Counts: TypeAlias = list[NDArray[np.int64]]


class Window:
    """Counts of the last so many seconds, forgotten a twelfth at a time."""

    def __init__(self, reference: Reference, length_s: float) -> None:
        """Begin empty."""
        self._slot_s = length_s / _SLOTS
        self._empty = [np.zeros_like(counts) for counts in reference.counts]
        self._slots: deque[tuple[int, Counts]] = deque()

    def add(self, counts: Counts, now_s: float) -> None:
        """Count more."""
        slot = int(now_s / self._slot_s)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, [counts.copy() for counts in self._empty]))
        for total, more in zip(self._slots[-1][1], counts, strict=True):
            np.add(total, more, out=total)

    def total(self, now_s: float) -> Counts:
        """By feature and bin, of the window that ends now."""
        first = int(now_s / self._slot_s) - _SLOTS + 1
        while self._slots and self._slots[0][0] < first:
            self._slots.popleft()
        totals = [counts.copy() for counts in self._empty]
        for _, counts in self._slots:
            for total, more in zip(totals, counts, strict=True):
                np.add(total, more, out=total)
        return totals


class DriftMonitor:
    """Watches one model of one pod. `observe` may be called from any thread, all else from the event loop."""

    def __init__(
        self,
        model: str,
        reference_of: Callable[[int], Awaitable[Reference | None]],
        columns: Callable[..., NDArray[np.float64]],
        settings: DriftSettings | None = None,
    ) -> None:
        """Begin with nothing seen.

        Args:
            model: its name, for the metrics.
            reference_of: of a version; None where it has none.
            columns: makes (N, F) of what `observe` was told of N objects, in the reference's order.
            settings: `ORRERY_DRIFT_…` unless given.
        """
        self._model = model
        self._reference_of = reference_of
        self._columns = columns
        self._settings = settings or DriftSettings()
        self._seen: list[tuple[int, tuple[NDArray[Any], ...]]] = []
        self._objects = 0
        self._version: int | None = None
        self._reference: Reference | None = None
        self._windows: dict[str, Window] = {}

    def observe(self, version: int, *arrays: NDArray[Any]) -> None:
        """Remember what one version was asked and said, until it is counted.

        Args:
            version: of the model.
            arrays: first axis N; not changed afterwards.
        """
        rows = len(arrays[0])
        room = MOST_OBJECTS - self._objects
        if rows > room:
            LEFT_OUT.labels(self._model).inc(rows - max(room, 0))
            if room <= 0:
                return
            arrays = tuple(array[:room] for array in arrays)
        self._objects += min(rows, room)
        self._seen.append((version, arrays))

    async def follow(self) -> None:
        """Count and judge every period, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.count()
            except Exception:
                # Serving goes on whatever happens to what watches it.
                log.exception("drift", model=self._model)

    async def count(self, now_s: float | None = None) -> None:
        """Count what was collected, and say in the metrics what it means.

        Args:
            now_s: of a clock that never goes back; the process's own if not given.
        """
        now_s = time.monotonic() if now_s is None else now_s
        seen, self._seen, self._objects = self._seen, [], 0
        if seen:
            await self._settle_on(_most_frequent(seen))
        if self._reference is None:
            return
        mine = [arrays for version, arrays in seen if version == self._version]
        if mine:
            # Put together first: most were told of one object, and there may be ten thousand of them.
            counts = list(self._reference.count(self._columns(*map(np.concatenate, zip(*mine, strict=True)))))
            for window in self._windows.values():
                window.add(counts, now_s)
        for name, window in self._windows.items():
            self._show(self._reference, name, window.total(now_s))

    async def _settle_on(self, version: int) -> None:
        """A version's answers are held against its own reference: another version begins anew."""
        if version == self._version:
            return
        reference = await self._reference_of(version)
        self._version, self._reference = version, reference
        self._windows = {}
        for gauge in (PSI, KS, P_VALUE, DRIFTED, ALARM, SAMPLES, BIN_OBJECTS):
            gauge.remove_by_labels({"model": self._model})
        if reference is not None:
            lengths_s = {"short": self._settings.short_window_s, "long": self._settings.long_window_s}
            self._windows = {name: Window(reference, length_s) for name, length_s in lengths_s.items()}
        log.info("drift", model=self._model, version=version, reference=reference is not None)

    def _show(self, reference: Reference, window: str, counts: Counts) -> None:
        SAMPLES.labels(self._model, window).set(int(counts[0].sum()))
        for name, by_bin in zip(reference.names, counts, strict=True):
            for number, objects in enumerate(by_bin.tolist()):
                BIN_OBJECTS.labels(self._model, window, name, number).set(objects)
        verdicts = judge(reference, counts)
        if not verdicts:
            for gauge in (PSI, KS, P_VALUE, DRIFTED):
                gauge.remove_by_labels({"model": self._model, "window": window})
        ALARM.labels(self._model, window).set(any(verdict.drifted for verdict in verdicts))
        for verdict in verdicts:
            labels = (self._model, window, verdict.name)
            PSI.labels(*labels).set(verdict.psi)
            KS.labels(*labels).set(verdict.ks)
            P_VALUE.labels(*labels).set(verdict.p_value)
            DRIFTED.labels(*labels).set(verdict.drifted)


def _most_frequent(seen: list[tuple[int, tuple[NDArray[Any], ...]]]) -> int:
    rows: dict[int, int] = {}
    for version, arrays in seen:
        rows[version] = rows.get(version, 0) + len(arrays[0])
    return max(rows, key=lambda version: rows[version])
