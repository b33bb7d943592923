# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios made for tests: objects with known encounters, without any file of real orbits."""

import numpy as np

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.branch import heliocentric
from gateway.simulation.nbody import Fidelity, Forces, Integrator
from gateway.simulation.scenario import Scenario
from gateway.simulation.simulate import simulate

# 2029-04-13, days of TDB since J2000.0.
START_D = 10_695.0
EVERY_BODY_AU = dict.fromkeys(Body, 0.2)


def beside(body, offset_km, velocity_km_s, time_d=START_D):
    """(6,) barycentric ICRF state at an offset from a body, with a velocity relative to it."""
    relative = np.concatenate((np.array(offset_km) / AU_KM, np.array(velocity_km_s) * DAY_S / AU_KM))
    return ephemeris.states(body, np.array([time_d]))[0] + relative


def carried(state, time_d, to_d, fidelity=Fidelity.PRECISE):
    """The state at another time."""
    integrator = Integrator(state, time_d, Forces(fidelity))
    while integrator.advance(to_d, max_steps=100):
        pass
    return integrator.state, integrator.time_d


def scenario(state, time_d, duration_d, **changes):
    """A question about an object at a barycentric state."""
    start = heliocentric(state, time_d)
    forces = changes.pop("forces", Forces(Fidelity.PRECISE))
    return Scenario(
        epoch_d=float(time_d),
        baseline_state=start,
        changed_state=changes.pop("changed_state", start if changes.get("pushes") else None),
        pushes=changes.pop("pushes", ()),
        duration_d=float(duration_d),
        forces=forces,
        limits_au=changes.pop("limits_au", EVERY_BODY_AU),
        **changes,
    )


def asked(question):
    """What a scenario brings: its outcome, and its updates."""
    updates = []
    return simulate(question, updates.append), updates


def ordinary_state():
    """(6,) barycentric ICRF of an object at 1.2 au from the Sun that meets nothing for a while."""
    return ephemeris.states(Body.SUN, np.array([START_D]))[0] + np.array([1.2, 0.3, 0.2, -0.003, 0.0135, 0.002])
