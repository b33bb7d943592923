# SPDX-License-Identifier: GPL-3.0-or-later
"""The last steps before an impact, taken anew so that none of them reaches deep below the surface.

IAS15 evaluates the forces all along a step. A step that passes near a body's centre has wrong polynomials at the
surface too. So the descent is integrated again from the last knot above the surface, in steps that end by the two-body
time of fall: each covers nine tenths of what is left, the last ends right below the surface.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.nbody import Forces, Integrator
from gateway.simulation.steps import Steps, join
from gateway.simulation.two_body import TwoBody

_SHARE: Final = 0.9
# A fall of so many seconds is one step: 700 km at 70 km/s.
_LAST_S: Final = 10.0
# How long the last step goes on below: 1.5 km at 15 km/s.
_BELOW_S: Final = 0.1
_MAX_LEGS: Final = 50
_STEPS_AT_ONCE: Final = 64


def descend(steps: Steps, body: Body, impact_d: float, forces: Forces, cancelled: Callable[[], bool]) -> Steps:
    """The same way down to a body's surface, in steps of which only the last reaches below it.

    Args:
        steps: of which one crosses the surface.
        body: whose surface that is.
        impact_d: about when, days of TDB since J2000.0.
        forces: what acts on the object.
        cancelled: asked before every step.

    Returns:
        The steps before that one as they are, then finer ones. They end above the surface where two-body motion
        passes the body by: a graze by metres.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    direction, properties = steps.direction, PROPERTIES[body]
    crossing = int(np.searchsorted(steps.time_d * direction, impact_d * direction, side="right")) - 1
    crossing = min(max(crossing, 0), len(steps) - 1)
    integrator = Integrator(steps.states[crossing], float(steps.time_d[crossing]), forces)
    parts = [steps.head(crossing)] if crossing else []
    for _ in range(_MAX_LEGS):
        relative = integrator.state - ephemeris.states(body, np.array([integrator.time_d]))[0]
        velocity_km_s = direction * relative[3:] * AU_KM / DAY_S
        motion = TwoBody.of(relative[:3] * AU_KM, velocity_km_s, properties.gm_km3_s2)
        seconds = motion.until_s(properties.mean_radius_km)
        if seconds is None:
            break
        ahead_s = seconds + _BELOW_S if seconds < _LAST_S else _SHARE * seconds
        until_d = integrator.time_d + direction * ahead_s / DAY_S
        if more := integrator.advance(until_d, max_steps=_STEPS_AT_ONCE, cancelled=cancelled):
            parts.append(more)
    return join(parts) if parts else steps
