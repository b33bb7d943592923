# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown is what prometheus_client's own metrics would show."""

import contextlib

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gateway.serving import loop_metrics

BUCKETS = (0.0005, 0.25, 1, 10)


@contextlib.contextmanager
def two_registries():
    """What declares a metric in both, and the texts of both, `_created` lines left out."""
    mine, theirs = CollectorRegistry(), CollectorRegistry()

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

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_metrics, "REGISTRY", mine)
        yield declare, texts


@pytest.fixture
def shown():
    with two_registries() as both:
        yield both


@given(amounts=st.lists(st.sampled_from([0.0, 1e-9, 0.0005, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 11.0]), max_size=20))
def test_histograms(amounts):
    with two_registries() as (declare, texts):
        for histogram in declare("Histogram", "seconds", "Time.", ["method"], buckets=BUCKETS):
            for amount in amounts:
                histogram.labels("Predict").observe(amount)
        mine, theirs = texts()
        assert mine == theirs


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
