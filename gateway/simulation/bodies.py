# SPDX-License-Identifier: GPL-3.0-or-later
"""The bodies that an object can meet, and the planets whose orbits it can cross.

Gravitational parameters: JPL DE440 (Park et al. 2021, AJ 161, 105, table 2); Earth and Moon by its mass ratio
81.3005682214972. Mean radii: Archinal et al. 2018, Celest. Mech. Dyn. Astr. 130, 22 (IAU WGCCRE 2015), tables 4 and 5;
the Sun's is the nominal one of IAU 2015 Resolution B3.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class Body(enum.IntEnum):
    """A body with a centre to come close to; the numbers are those of the public contract."""

    SUN = 1
    MERCURY = 2
    VENUS = 3
    EARTH = 4
    MOON = 5
    MARS = 6
    JUPITER = 7
    SATURN = 8
    URANUS = 9
    NEPTUNE = 10


class Planet(enum.IntEnum):
    """A body with a heliocentric orbit; the numbers are those of the public contract."""

    MERCURY = 1
    VENUS = 2
    EARTH = 3
    MARS = 4
    JUPITER = 5
    SATURN = 6
    URANUS = 7
    NEPTUNE = 8

    @property
    def body(self) -> Body:
        """The planet as a body."""
        return Body[self.name]


@dataclass(frozen=True, slots=True)
class Properties:
    """What the simulation knows about a body.

    Attributes:
        gm_km3_s2: gravitational parameter; of the whole system from Mars outward, as their positions are.
        mean_radius_km: where its surface is taken to be.
        kernel_chain: (centre, target) pairs of SPK segments that add up from the barycentre of the solar system.
        reach_au: least and greatest distance from that barycentre in DE440's span, widened to two digits.
    """

    gm_km3_s2: float
    mean_radius_km: float
    kernel_chain: tuple[tuple[int, int], ...]
    reach_au: tuple[float, float]

    @property
    def is_system_barycenter(self) -> bool:
        """Whether its position is that of the barycentre of the planet and its moons."""
        return self.kernel_chain[-1][1] in range(4, 9)


PROPERTIES: Final[Mapping[Body, Properties]] = {
    Body.SUN: Properties(132_712_440_041.279, 695_700.0, ((0, 10),), (0.0, 0.02)),
    Body.MERCURY: Properties(22_031.868551, 2_439.4, ((0, 1),), (0.29, 0.49)),
    Body.VENUS: Properties(324_858.592, 6_051.8, ((0, 2),), (0.7, 0.75)),
    Body.EARTH: Properties(398_600.435507, 6_371.0084, ((0, 3), (3, 399)), (0.96, 1.04)),
    Body.MOON: Properties(4_902.800118, 1_737.4, ((0, 3), (3, 301)), (0.96, 1.04)),
    Body.MARS: Properties(42_828.375816, 3_389.50, ((0, 4),), (1.3, 1.7)),
    Body.JUPITER: Properties(126_712_764.1, 69_911.0, ((0, 5),), (4.9, 5.5)),
    Body.SATURN: Properties(37_940_584.8418, 58_232.0, ((0, 6),), (8.9, 11.0)),
    Body.URANUS: Properties(5_794_556.4, 25_362.0, ((0, 7),), (18.0, 21.0)),
    Body.NEPTUNE: Properties(6_836_527.10058, 24_622.0, ((0, 8),), (29.0, 31.0)),
}

DEFAULT_REPORTED: Final = (
    Body.SUN,
    Body.MERCURY,
    Body.VENUS,
    Body.EARTH,
    Body.MOON,
    Body.MARS,
    Body.JUPITER,
)
