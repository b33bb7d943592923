# SPDX-License-Identifier: GPL-3.0-or-later
"""On the very edges of the definitions the served verdict is the rule's, and the network stays a probability."""

import math

import pytest

from orrery.inference import v1
from tests.objects import eros

pytestmark = pytest.mark.usefixtures("stack")


def _object(designation, *, h=20.0, q=None, a=None, e=0.2, inclination_deg=5.0):
    item = eros()
    item.designation = designation
    item.physical.absolute_magnitude_h = h
    elements = item.elements
    elements.eccentricity = e
    elements.inclination_deg = inclination_deg
    if q is None:
        elements.semi_major_axis_au = a
    else:
        elements.perihelion_distance_au = q
    return item


def _predict(client, objects):
    said = client.predict(objects).predictions
    for prediction in said:
        assert 0.0 <= prediction.pha_probability <= 1.0
        assert sum(one.probability for one in prediction.class_probabilities) == pytest.approx(1.0, abs=1e-5)
    return said


def test_orbit_classes_on_their_cuts(client):
    cases = {
        "q = 1.017": (_object("1", q=1.017), v1.ORBIT_CLASS_AMOR),
        "q just below 1.017": (_object("2", q=math.nextafter(1.017, 0.0)), v1.ORBIT_CLASS_APOLLO),
        "Q = 0.983": (_object("3", q=0.983, e=0.0), v1.ORBIT_CLASS_ATEN),
        "Q just below 0.983": (_object("4", q=math.nextafter(0.983, 0.0), e=0.0), v1.ORBIT_CLASS_ATIRA),
        "a = 1": (_object("5", a=1.0), v1.ORBIT_CLASS_APOLLO),
        "a just below 1": (_object("6", a=math.nextafter(1.0, 0.0)), v1.ORBIT_CLASS_ATEN),
    }
    said = _predict(client, [item for item, _ in cases.values()])
    found = {name: one.definition.orbit_class for name, one in zip(cases, said, strict=True)}
    assert found == {name: orbit_class for name, (_, orbit_class) in cases.items()}


def test_brightness_of_22_is_still_hazardous(client):
    near = {"q": 0.99, "e": 0.3, "inclination_deg": 0.5}
    on, beyond = _predict(
        client, [_object("on", h=22.0, **near), _object("beyond", h=math.nextafter(22.0, 23.0), **near)]
    )
    assert on.definition.earth_moid_au < 0.05
    assert on.definition.potentially_hazardous
    assert not beyond.definition.potentially_hazardous


def test_the_verdict_turns_exactly_where_the_served_moid_passes_a_twentieth(client):
    inside, outside = 1.02, 1.2
    for _ in range(45):
        middle = 0.5 * (inside + outside)
        definition = _predict(client, [_object("bisected", q=middle)])[0].definition
        assert definition.potentially_hazardous == (definition.earth_moid_au <= 0.05)
        if definition.potentially_hazardous:
            inside = middle
        else:
            outside = middle
    assert outside - inside < 1e-12
    on, beyond = _predict(client, [_object("on", q=inside), _object("beyond", q=outside)])
    assert on.definition.earth_moid_au == pytest.approx(0.05, abs=1e-11)
    assert beyond.definition.earth_moid_au == pytest.approx(0.05, abs=1e-11)
    assert (on.definition.potentially_hazardous, beyond.definition.potentially_hazardous) == (True, False)
