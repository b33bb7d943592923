# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags by rule: their bounds, and the known objects that they were made for."""

import numpy as np
import pytest

from gateway.anomaly.tags import orbit_tags, uncertainty_tags
from orrery.inference import v1


def orbits(a, e, i):
    a, e, i = np.array(a, float), np.array(e, float), np.array(i, float)
    return np.column_stack((a * (1.0 - e), e, i))


def tags(a=1.5, e=0.3, i=5.0):
    return set(orbit_tags(orbits([a], [e], [i]))[0])


@pytest.mark.parametrize(
    ("tag", "inside", "outside"),
    [
        ("co-orbital", {"a": 1.00999}, {"a": 1.01001}),
        ("co-orbital", {"a": 0.99001}, {"a": 0.98999}),
        ("minimoon-like", {"a": 1.03, "e": 0.0599, "i": 1.0}, {"a": 1.03, "e": 0.06, "i": 1.0}),
        ("minimoon-like", {"a": 1.03, "e": 0.01, "i": 2.49}, {"a": 1.03, "e": 0.01, "i": 2.5}),
        ("minimoon-like", {"a": 1.0499, "e": 0.01, "i": 1.0}, {"a": 1.0501, "e": 0.01, "i": 1.0}),
        ("minimoon-like", {"a": 0.9501, "e": 0.01, "i": 1.0}, {"a": 0.9499, "e": 0.01, "i": 1.0}),
        ("retrograde", {"i": 90.0001}, {"i": 90.0}),
        ("atira", {"a": 0.8, "e": 0.2287}, {"a": 0.8, "e": 0.2288}),
        ("sun-grazing", {"a": 2.0, "e": 0.95001}, {"a": 2.0, "e": 0.94999}),
    ],
)
def test_bounds(tag, inside, outside):
    assert tag in tags(**inside)
    assert tag not in tags(**outside)


def test_unbound_orbits_have_the_tags_that_need_no_semi_major_axis():
    shapes = [(0.9, np.nextafter(1.0, 0.0), 5.0), (0.9, 1.0, 5.0), (0.05, 1.2, 122.7), (1.0, 3.4, 44.0)]
    assert orbit_tags(np.array(shapes)) == [[], ["unbound"], ["retrograde", "sun-grazing", "unbound"], ["unbound"]]


@pytest.mark.parametrize(
    ("uncertainty", "poor"),
    [
        ({}, False),
        ({"condition_code": "6"}, False),
        ({"condition_code": "7"}, True),
        ({"condition_code": "9"}, True),
        ({"condition_code": "E"}, False),
        ({"arc_days": 10.0}, False),
        ({"arc_days": 9.99}, True),
        ({"arc_days": 0.0}, True),
    ],
)
def test_poorly_known_orbits(uncertainty, poor):
    item = v1.NearEarthObject(uncertainty=v1.OrbitUncertainty(**uncertainty))
    assert uncertainty_tags([item]) == [["poorly-known-orbit"] if poor else []]
