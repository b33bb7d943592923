# SPDX-License-Identifier: GPL-3.0-or-later
"""Impacts made to measure, down to ways through the very centre, where the integrator leaves the body again."""

import numpy as np
import pytest

from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.scenario import Branch
from tests.unit.simulation.made import START_D, asked, beside, carried, scenario


@pytest.mark.parametrize("body", [Body.EARTH, Body.MOON, Body.VENUS, Body.JUPITER])
@pytest.mark.parametrize("aim", [0.9, 0.3, 0.05, 1e-2, 1e-3, 1e-4, 3e-5, 1e-5])
def test_an_impact_is_found_when_and_as_fast_as_it_was_made(body, aim):
    """The object is put on the surface, moving down at a known speed and aim, and followed from ten days before."""
    radius_km = PROPERTIES[body].mean_radius_km
    escape_km_s = np.sqrt(2 * PROPERTIES[body].gm_km3_s2 / radius_km)
    speed_km_s = float(np.hypot(escape_km_s, 12.0))
    aside_km = aim * radius_km
    up_km = float(np.sqrt(radius_km**2 - aside_km**2))
    start, start_d = carried(beside(body, (up_km, aside_km, 0.0), (-speed_km_s, 0.0, 0.0)), START_D, START_D - 10.0)
    outcome, _ = asked(scenario(start, start_d, 20.0))
    met = outcome.branches[Branch.BASELINE].approaches[-1]
    assert met.body is body
    assert met.impact is not None
    assert (met.impact.time_d - START_D) * 86_400 == pytest.approx(0.0, abs=0.1)
    assert met.impact.relative_velocity_km_s == pytest.approx(speed_km_s, abs=2e-3)
