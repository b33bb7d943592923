# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick answer to "is anything wrong?" is the one of the walker that names what is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.fitting import fits
from gateway.serving.validation import Violations, name_violations
from orrery.inference import v1
from tests.example_counts import one_in
from tests.property.message_strategies import messages

REQUESTS = (
    v1.PredictRequest,
    v1.PredictColumnsRequest,
    v1.ScoreAnomaliesRequest,
    v1.ScoreAnomalyColumnsRequest,
    v1.ComputeMoidRequest,
    v1.ComputeMoidColumnsRequest,
    v1.SimulateRequest,
)


@pytest.mark.parametrize("request_class", REQUESTS, ids=lambda cls: cls.DESCRIPTOR.name)
@given(data=st.data())
@one_in(2)
def test_quick_and_thorough_agree(request_class, data):
    message = data.draw(messages(request_class, clean=data.draw(st.booleans())))
    found = Violations()
    name_violations(message, found, "")
    assert fits(message) is (len(found) == 0)


@pytest.mark.parametrize("count", [1, 16, 17, 1_000])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1, 20.1])
def test_one_wrong_number_in_a_column_is_enough(count, wrong):
    right = v1.OrbitColumns(eccentricity=[0.0, 20.0][:count] + [0.5] * (count - 2))
    assert fits(right)
    for place in {0, count - 1}:
        column = list(right.eccentricity)
        column[place] = wrong
        assert not fits(v1.OrbitColumns(eccentricity=column))


def test_every_request_can_fit():
    """Else the property would be tested on refusals alone."""
    orbits = {
        "epoch_tdb_jd": [2461000.5],
        "semi_major_axis_au": [1.0],
        "eccentricity": [0.1],
        "inclination_deg": [1.0],
        "longitude_of_ascending_node_deg": [1.0],
        "argument_of_perihelion_deg": [1.0],
        "absolute_magnitude_h": [20.0],
    }
    elements = v1.OrbitalElements(epoch_tdb_jd=2461000.5, semi_major_axis_au=1.0)
    item = v1.NearEarthObject(elements=elements)
    for request_class in REQUESTS:
        if request_class is v1.SimulateRequest:
            message = request_class(scenario=v1.Scenario(object=item, duration_days=1.0))
        elif "orbits" in request_class.DESCRIPTOR.fields_by_name:
            message = request_class(orbits=v1.OrbitColumns(**orbits))
        else:
            message = request_class(objects=[item])
        assert fits(message)
