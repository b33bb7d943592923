# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown is what prometheus_client's own metrics would show."""

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gateway.serving import loop_metrics

BUCKETS = (0.0005, 0.25, 1, 10)


@pytest.fixture
def shown(monkeypatch):
    """The texts of both registries, `_created` lines left out; and what declares metrics in each."""
    mine, theirs = CollectorRegistry(), CollectorRegistry()
    monkeypatch.setattr(loop_metrics, "REGISTRY", mine)

    def declare(kind, *arguments, **more):
        return (
            getattr(loop_metrics, kind)(*arguments, **more),
            getattr(prometheus_client, kind)(*arguments, **more, registry=theirs),
        )

    def texts():
        return [
            [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
            for registry in (mine, theirs)
        ]

    return declare, texts


@given(amounts=st.lists(st.sampled_from([0.0, 1e-9, 0.0005, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 11.0]), max_size=20))
def test_histograms(amounts):
    with pytest.MonkeyPatch.context() as patch:
        mine, theirs = CollectorRegistry(), CollectorRegistry()
        patch.setattr(loop_metrics, "REGISTRY", mine)
        declared = ("seconds", "Time.", ["method"])
        both = (
            loop_metrics.Histogram(*declared, buckets=BUCKETS),
            prometheus_client.Histogram(*declared, buckets=BUCKETS, registry=theirs),
        )
        for histogram in both:
            for amount in amounts:
                histogram.labels("Predict").observe(amount)
        for name in ("bucket", "sum", "count"):
            for bound in (*map(float, BUCKETS), None):
                labels = {"method": "Predict"} | ({"le": str(bound)} if name == "bucket" and bound else {})
                said = [registry.get_sample_value(f"seconds_{name}", labels) for registry in (mine, theirs)]
                assert said[0] == pytest.approx(said[1])


def test_counters_gauges_and_histograms_are_shown_alike(shown):
    declare, texts = shown
    for counter in declare("Counter", "calls_total", 'Calls "begun".', ["service", "code"]):
        counter.labels("a", "OK").inc()
        counter.labels("a", "OK").inc(2)
        counter.labels('quoted "b"', 404).inc()
    for alone in declare("Counter", "alone_total", "Alone."):
        alone.inc()
    for gauge in declare("Gauge", "in_flight", "Now.", ["service"]):
        gauge.labels("a").inc()
        gauge.labels("a").dec()
        gauge.labels("b").set(7)
    for histogram in declare("Histogram", "rows", "Rows.", buckets=BUCKETS):
        histogram.observe(1)
        histogram.observe(100)
    declare("Counter", "never_total", "Without a child.", ["service"])
    mine, theirs = texts()
    assert mine == theirs


def test_wrong_labels_and_names_are_refused(shown):
    declare, _ = shown
    counter, _ = declare("Counter", "calls_total", "Calls.", ["service"])
    with pytest.raises(ValueError, match="calls_total has the labels service"):
        counter.labels("a", "b")
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        loop_metrics.Counter("calls_total", "Calls.", ["service"])
