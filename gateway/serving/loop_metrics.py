# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of what happens in an event loop's thread and nowhere else: an addition each.

prometheus_client's own take a lock and nine calls for it, which was a tenth of what a front does for a prediction.
Declared, labelled and shown as those are; counted by two threads at once they would lose counts.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf
from typing import Generic, TypeVar

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Count:
    """One number; of a counter it only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        """Add to it."""
        self.value += amount

    def dec(self) -> None:
        """Take one off."""
        self.value -= 1

    def set(self, value: float) -> None:
        """Replace it."""
        self.value = value


class Distribution:
    """How many observations fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount


Child = TypeVar("Child", Count, Distribution)


class _Family(Collector, Generic[Child]):
    def __init__(self, name: str, documentation: str, label_names: Sequence[str] = ()) -> None:
        """Register it; without labels its one child is there from the beginning."""
        self._name = name
        self._documentation = documentation
        self._label_names = label_names
        self._children: dict[tuple[object, ...], Child] = {}
        if not label_names:
            self.labels()
        REGISTRY.register(self)

    def labels(self, *values: object) -> Child:
        """The child of these values, in the order of the names."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._label_names):
                raise ValueError(f"{self._name} has the labels {', '.join(self._label_names)}")
            child = self._children[values] = self._child()
        return child

    def describe(self) -> Iterable[Metric]:
        """Its names, for the registry to find doubles."""
        return [self._family()]

    def _listed(self) -> Iterable[tuple[list[str], Child]]:
        # Another thread asks, and children may come while it does.
        return [([str(value) for value in values], child) for values, child in list(self._children.items())]

    @abstractmethod
    def _child(self) -> Child: ...

    @abstractmethod
    def _family(self) -> Metric: ...


class _Counted(_Family[Count]):
    def inc(self, amount: float = 1) -> None:
        """Add to the one child of a family without labels."""
        self.labels().inc(amount)

    def collect(self) -> Iterable[Metric]:
        """What is shown."""
        family = self._family()
        for values, child in self._listed():
            family.add_metric(values, child.value)
        return [family]

    def _child(self) -> Count:
        return Count()

    @abstractmethod
    def _family(self) -> CounterMetricFamily | GaugeMetricFamily: ...


class Counter(_Counted):
    """As prometheus_client's."""

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._documentation, labels=self._label_names)


class Gauge(_Counted):
    """As prometheus_client's."""

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._documentation, labels=self._label_names)


class Histogram(_Family[Distribution]):
    """As prometheus_client's."""

    def __init__(
        self, name: str, documentation: str, label_names: Sequence[str] = (), *, buckets: Sequence[float]
    ) -> None:
        """Register it.

        Args:
            name: without a suffix.
            documentation: one sentence.
            label_names: of its children.
            buckets: upper bounds, ascending, without infinity.
        """
        self._bounds = tuple(buckets)
        super().__init__(name, documentation, label_names)

    def observe(self, amount: float) -> None:
        """Count one observation, of a histogram without labels."""
        self.labels().observe(amount)

    def _child(self) -> Distribution:
        return Distribution(self._bounds)

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._documentation, labels=self._label_names)

    def collect(self) -> Iterable[Metric]:
        """What is shown: buckets that hold all that is below their bound."""
        family = self._family()
        names = [str(floatToGoString(bound)) for bound in (*self._bounds, inf)]  # type: ignore[no-untyped-call]  # untyped there
        for values, child in self._listed():
            family.add_metric(values, list(zip(names, accumulate(child.counts), strict=True)), child.sum)
        return [family]
