# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags by rule, for oddities with a name; co-orbitals and minimoons are a blind spot of every detector tried."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.neo.orbit_class import is_atira
from orrery.inference import v1

Floats = NDArray[np.float64]


def orbit_tags(rows: Floats) -> list[list[str]]:
    """The tags of N orbits, from their elements.

    Bounds: co-orbital within the Earth's Hill radius of its semi-major axis (Kamo'oalewa, 2010 TK7 and Cruithne are);
    minimoon-like as chosen on 2006 RH120, 2024 PT5 and 1991 VG, from whose orbits captures come (Granvik et al. 2012,
    Icarus 218, 262); retrograde by definition; Atira by JPL's; Sun-grazing q < 0.1 au, where known objects become
    scarce (Granvik et al. 2016, Nature 530, 303); unbound e >= 1. The other bounds themselves are outside.

    Args:
        rows: (N, 3 or more) q (au), e, i (deg).
    """
    return [_tags(q, e, i) for q, e, i in rows[:, :3].tolist()]


def _tags(q: float, e: float, i: float) -> list[str]:
    a = q / (1.0 - e) if e < 1.0 else math.inf
    rules = (
        ("co-orbital", abs(a - 1.0) < 0.01),
        ("minimoon-like", e < 0.06 and i < 2.5 and 0.95 < a < 1.05),
        ("retrograde", i > 90.0),
        ("atira", is_atira(q, e)),
        ("sun-grazing", q < 0.1),
        ("unbound", e >= 1.0),
    )
    return [tag for tag, holds in rules if holds]


def uncertainty_tags(objects: Sequence[v1.NearEarthObject]) -> list[list[str]]:
    """The tag of orbits that look odd because they are uncertain.

    That is where the MPC's U is 7 to 9 (a runoff above 19,692 arcsec in ten years,
    https://www.minorplanetcenter.net/iau/info/UValue.html) or the observed arc is under ten days.
    """
    return [["poorly-known-orbit"] if _poorly_known(item.uncertainty) else [] for item in objects]


def _poorly_known(uncertainty: v1.OrbitUncertainty) -> bool:
    return uncertainty.condition_code in {"7", "8", "9"} or (
        uncertainty.HasField("arc_days") and uncertainty.arc_days < 10.0
    )
