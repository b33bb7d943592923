# SPDX-License-Identifier: GPL-3.0-or-later
"""The domain of impacts: what is accepted, by name."""

import math
from collections.abc import Mapping
from typing import Final

from gateway.neo.domain import Interval
from gateway.neo.errors import InvalidImpactError, Violation

MEGATON_J: Final = 4.184e15
"""Energy of a million tons of TNT, by convention."""

EARTH_RADIUS_KM: Final = 6_371.0084
"""Mean."""

HALF_AROUND_EARTH_KM: Final = math.pi * EARTH_RADIUS_KM
"""Nothing on the ground is farther away."""

# A mote of dust to the Moon's mass; a feather to twice iron's density; far below escape velocity to far above what is
# bound to the Sun. An angle below 1 deg is a path through the atmosphere and out again, which nothing here describes.
IMPACT_DOMAIN: Final[Mapping[str, Interval]] = {
    "absolute_magnitude_h": Interval(-5.0, 40.0),
    "absolute_magnitude_sigma": Interval(0.0, 5.0),
    "albedo": Interval(1e-3, 1.0),
    "diameter_m": Interval(1e-3, 4e6),
    "mass_kg": Interval(1e-6, 1e22),
    "density_kg_m3": Interval(1.0, 20_000.0),
    "speed_km_s": Interval(1.0, 100.0),
    "angle_deg": Interval(1.0, 90.0),
    "probability": Interval(0.0, 1.0),
    "energy_mt": Interval(1e-30, 1e20),
    "years": Interval(1e-6, 1e4),
    "distance_km": Interval(1e-3, 20_100.0),
}


def require(**values: float) -> None:
    """Check numbers against `IMPACT_DOMAIN`.

    Raises:
        InvalidImpactError: naming every number outside, or not a number.
    """
    found = tuple(
        Violation(name, 0, str(IMPACT_DOMAIN[name]))
        for name, value in values.items()
        if not IMPACT_DOMAIN[name].low <= value <= IMPACT_DOMAIN[name].high
    )
    if found:
        raise InvalidImpactError(found)
