# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 0: orbits of near-Earth objects, pure functions of numbers. Knows no transport and no model."""

from gateway.neo.earth_orbit import earth_orbits
from gateway.neo.elements import Orbits, ecliptic_to_icrf, from_states, icrf_to_ecliptic, to_states
from gateway.neo.errors import ColumnShapeError, EpochOutOfRangeError, InvalidOrbitError, NeoError, Violation
from gateway.neo.hazard import potentially_hazardous
from gateway.neo.moid import MoidResult, earth_moid_au
from gateway.neo.orbit_class import OrbitClass, classify, why_other

__all__ = [
    "ColumnShapeError",
    "EpochOutOfRangeError",
    "InvalidOrbitError",
    "MoidResult",
    "NeoError",
    "OrbitClass",
    "Orbits",
    "Violation",
    "classify",
    "earth_moid_au",
    "earth_orbits",
    "ecliptic_to_icrf",
    "from_states",
    "icrf_to_ecliptic",
    "potentially_hazardous",
    "to_states",
    "why_other",
]
