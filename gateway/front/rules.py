# SPDX-License-Identifier: GPL-3.0-or-later
"""What the definitions say of many orbits at once: Earth MOID, potentially hazardous, orbit class."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.earth_orbit import covered, earth_orbits
from gateway.neo.elements import Orbits
from gateway.neo.hazard import potentially_hazardous
from gateway.neo.moid import earth_moid_au, moid
from gateway.neo.orbit_class import classify

Floats = NDArray[np.float64]

COLUMNS: Final = 7
"""Of the front's rows: q (au), e, i, node, argument of perihelion (deg), H, epoch (TDB JD)."""
MODEL_COLUMNS: Final = 6
"""How many of them the models read: all but the epoch."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the definitions say of N orbits, as columns; the MOID is NaN where it is unknown."""

    earth_moid_au: Floats
    potentially_hazardous: NDArray[np.bool_]
    orbit_class: NDArray[np.int8]


def judge(rows: Floats) -> Verdicts:
    """Apply the definitions.

    Args:
        rows: (N, 7), see `COLUMNS`.
    """
    q, e, inclination, node, argument, magnitude, epoch = rows.T
    # Neither the MOID nor the class depends on where the object is on its orbit.
    orbits = Orbits(q, e, inclination, node, argument, perihelion_time_tdb_jd=epoch, epoch_tdb_jd=epoch)
    moid_au = _earth_moid_au(orbits)
    # A comparison with NaN is false: what is unknown is not called hazardous.
    return Verdicts(moid_au, potentially_hazardous(moid_au, magnitude), classify(q, e))


def _earth_moid_au(orbits: Orbits) -> Floats:
    epoch = orbits.epoch_tdb_jd
    if (epoch == epoch[0]).all() and covered(epoch[0]):
        return moid(orbits, _earth_orbit(float(epoch[0]))).distance_au
    return earth_moid_au(orbits)


@lru_cache(maxsize=1024)
def _earth_orbit(epoch_tdb_jd: float) -> Orbits:
    """Catalogues share a few epochs; finding Earth's orbit costs 300 us, one MOID 4."""
    return earth_orbits(epoch_tdb_jd)
