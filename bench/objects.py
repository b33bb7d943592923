# SPDX-License-Identifier: GPL-3.0-or-later
"""Real near-Earth objects to measure with: MPC's "NEA extended" list of 2026-02-12, epoch JD 2461000.5 TDB.

https://minorplanetcenter.net/data; au and degrees, heliocentric ecliptic J2000.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.elements import to_states
from gateway.neo.orbits import Orbits
from gateway.neo.units import J2000_TDB_JD

Floats = NDArray[np.float64]

EPOCH_TDB_JD: Final = 2461000.5
EPOCH_D: Final = EPOCH_TDB_JD - J2000_TDB_JD
# Name, semi-major axis, eccentricity, inclination, node, argument of perihelion, mean anomaly.
_ELEMENTS: Final = (
    ("Eros", 1.458121, 0.222836, 10.82847, 304.2701, 178.92976, 310.55432),
    ("Apophis", 0.9223803, 0.1911663, 3.34096, 203.89965, 126.67283, 312.80547),
    ("Bennu", 1.1260025, 0.2036974, 6.03279, 1.96896, 66.40729, 267.46894),
    ("Toutatis", 2.5430298, 0.6247403, 0.44808, 125.36523, 277.86144, 76.89344),
    ("Phaethon", 1.2713952, 0.8897185, 22.31264, 265.09557, 322.30651, 163.9751),
    ("Itokawa", 1.3241352, 0.2801501, 1.62094, 69.07562, 162.85357, 41.26159),
    ("Ryugu", 1.1909211, 0.1910626, 5.86655, 251.29153, 211.61678, 270.65939),
    ("Didymos", 1.6425644, 0.3832284, 3.41407, 72.98451, 319.58986, 167.22108),
    ("Icarus", 1.0780378, 0.8270057, 22.8032, 87.95243, 31.43821, 153.07893),
    ("Ganymed", 2.6649688, 0.5332133, 26.68074, 215.44119, 132.50313, 97.59385),
    ("Geographos", 1.2457769, 0.3355122, 13.3358, 337.14079, 277.01839, 212.92045),
    ("Castalia", 1.0630937, 0.4831979, 8.88518, 325.50229, 121.45282, 323.77071),
    ("Cruithne", 0.997787, 0.5148759, 19.8023, 126.18917, 43.87928, 344.36396),
    ("Golevka", 2.4767756, 0.6187571, 2.2593, 208.71372, 69.53323, 252.42079),
    ("Aten", 0.9669585, 0.1828994, 18.93553, 108.52821, 148.07631, 32.6378),
    ("Apollo", 1.4709238, 0.559918, 6.3514, 35.54163, 286.05088, 113.88453),
    ("Amor", 1.9198313, 0.4346323, 11.86883, 171.23717, 26.75825, 59.87047),
    ("Atira", 0.7409831, 0.3221203, 25.61867, 103.86972, 252.93148, 37.26246),
    ("Hermes", 1.6550671, 0.6239176, 6.06733, 34.04626, 92.91315, 104.55555),
    ("Florence", 1.7688777, 0.4232385, 22.14277, 336.04036, 27.88474, 168.25753),
    ("Nereus", 1.4849992, 0.3587883, 1.45354, 313.10701, 159.5423, 49.81687),
    ("Duende", 0.9102541, 0.0894753, 11.6101, 146.90817, 195.63687, 51.74369),
)
NAMES: Final = tuple(str(row[0]) for row in _ELEMENTS)


def orbits() -> Orbits:
    """All of them, in the order of `NAMES`."""
    columns = np.array([row[1:] for row in _ELEMENTS], np.float64).T
    return Orbits.from_mean_anomaly(
        semi_major_axis_au=columns[0],
        eccentricity=columns[1],
        inclination_deg=columns[2],
        longitude_of_ascending_node_deg=columns[3],
        argument_of_perihelion_deg=columns[4],
        mean_anomaly_deg=columns[5],
        epoch_tdb_jd=np.full(len(NAMES), EPOCH_TDB_JD),
    )


def heliocentric_state(name: str) -> Floats:
    """(6,) heliocentric ecliptic state at the epoch, au and au/d."""
    state: Floats = to_states(orbits())[NAMES.index(name)]
    return state
