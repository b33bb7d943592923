# SPDX-License-Identifier: GPL-3.0-or-later
"""What acts on an object, and how carefully it is followed."""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import assist
import numpy as np
from numpy.typing import NDArray

from gateway.simulation.nbody.kernels import asteroid_count, ephemeris_description

Floats = NDArray[np.float64]

GRAVITY: Final = ("SUN", "PLANETS", "ASTEROIDS")


class Fidelity(enum.IntEnum):
    """How exactly the forces are followed; the numbers are those of the public contract."""

    FAST = 1
    PRECISE = 2
    AUDIT = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a fidelity means to ASSIST and to IAS15.

    Attributes:
        forces: besides gravity, by ASSIST's names.
        adaptive_mode: of IAS15's step control.
        epsilon: its tolerance.
        description: of the forces.
        calm_epsilon: the tolerance of a swarm far from all bodies, where it differs.
    """

    forces: tuple[str, ...]
    adaptive_mode: int
    epsilon: float
    description: str
    calm_epsilon: float | None = None


_HARMONICS: Final = ("EARTH_HARMONICS", "SUN_HARMONICS")
_HARMONICS_TEXT: Final = "J2, J3, J4 of Earth, J2 of the Sun"
# Step control: mode 1 of IAS15 (Rein & Spiegel 2015, MNRAS 446, 1424, eq. 11) holds the last term of the acceleration's
# polynomial, b_6, below epsilon of the acceleration. It sees what happens within a step. Mode 2 looks at a step's ends
# and jumps over a fast fly-by between them: with as many steps it missed by 412 km in a year (docs/decisions/0006).
# Without Earth's oblateness Apophis is 1,830 km off a year after 2029.
# Far from all bodies a swarm takes a quarter fewer steps; there Earth is a point to it.
RECIPES: Final = {
    Fidelity.FAST: Recipe((*_HARMONICS, "GR_SIMPLE"), 1, 3e-8, f"GR of the Sun; {_HARMONICS_TEXT}", 3e-7),
    Fidelity.PRECISE: Recipe((*_HARMONICS, "GR_EIH"), 1, 3e-9, f"GR of 11 bodies (EIH); {_HARMONICS_TEXT}"),
    Fidelity.AUDIT: Recipe((*_HARMONICS, "GR_EIH"), 1, 1e-9, f"GR of 11 bodies (EIH); {_HARMONICS_TEXT}; strict steps"),
}


@dataclass(frozen=True, slots=True)
class MarsdenLaw:
    """How A1 to A3 fall with the heliocentric distance r: alpha (r / r0)^-m (1 + (r / r0)^n)^-k.

    Source: Marsden, Sekanina & Yeomans 1973, AJ 78, 211; the defaults are those of sublimating water ice.
    """

    alpha: float = 0.1112620426
    r0_au: float = 2.808
    m: float = 2.15
    n: float = 5.093
    k: float = 4.6142


@dataclass(frozen=True, slots=True)
class Forces:
    """What acts on the object.

    Attributes:
        fidelity: which forces, and how carefully.
        a1_au_d2: radial non-gravitational acceleration at 1 au.
        a2_au_d2: transverse.
        a3_au_d2: normal.
        asteroid_kernel: SPK file of the 16 perturbing asteroids; None leaves them out.
        without_asteroid: SPK's code of the one that is the object itself, if it is one of them.
        marsden: how A1 to A3 fall with the distance from the Sun; None: with its inverse square.
    """

    fidelity: Fidelity = Fidelity.FAST
    a1_au_d2: float = 0.0
    a2_au_d2: float = 0.0
    a3_au_d2: float = 0.0
    asteroid_kernel: Path | None = None
    without_asteroid: int | None = None
    marsden: MarsdenLaw | None = None

    @property
    def description(self) -> str:
        """The force model in words, for the provenance."""
        count = asteroid_count(self.asteroid_kernel, self.without_asteroid)
        asteroids = f", {count} asteroids" if count else ""
        text = (
            f"ASSIST {assist.__version__}: Sun, planets, Moon, Pluto{asteroids}; {RECIPES[self.fidelity].description}"
        )
        if not self._pushed:
            return text
        return f"{text}; A1-A3 by Marsden's g(r)" if self.marsden else f"{text}; A1-A3"

    @property
    def ephemeris_description(self) -> str:
        """Where the bodies' positions come from, in words, for the provenance."""
        return ephemeris_description(self.asteroid_kernel, self.without_asteroid)

    @property
    def pushes_au_d2(self) -> Floats:
        """(3,) A1, A2, A3."""
        return np.array([self.a1_au_d2, self.a2_au_d2, self.a3_au_d2])

    @property
    def _pushed(self) -> bool:
        return bool(self.pushes_au_d2.any())
