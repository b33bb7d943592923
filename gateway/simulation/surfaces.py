# SPDX-License-Identifier: GPL-3.0-or-later
"""The bodies' surfaces, taken at their mean radii: whether an object is below one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import PROPERTIES, Body
from gateway.simulation.whereabouts import ERROR_AU, rough_positions

Floats = NDArray[np.float64]

_M_S2_IN_AU_D2: Final = 1e-3 * DAY_S**2 / AU_KM
LEAST_GRAVITY_AU_D2: Final = 0.5 * _M_S2_IN_AU_D2
"""At and below every body's surface gravity alone is at least 3 times this: the Moon's is 1.6 m/s^2."""


def body_around(state: Floats, time_d: float) -> Body | None:
    """The body within whose mean radius a state lies, if any.

    Args:
        state: (6,) barycentric ICRF, au and au/d.
        time_d: days of TDB since J2000.0.
    """
    at = np.array([time_d])
    away_km = np.linalg.norm(rough_positions(at)[0] - state[:3], axis=1) * AU_KM
    near = [
        body for body, rough_km in zip(Body, away_km, strict=True) if rough_km < _radius_km(body) + ERROR_AU * AU_KM
    ]
    for body, body_state in ephemeris.states_of_many(near, at).items():
        if np.linalg.norm(state[:3] - body_state[0, :3]) * AU_KM < _radius_km(body):
            return body
    return None


def _radius_km(body: Body) -> float:
    return PROPERTIES[body].mean_radius_km
