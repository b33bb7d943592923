# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bodies are, roughly and cheaply: enough to tell which of them an object cannot come near.

Cubic Hermite interpolation between states of DE440 eight days apart, whose error h^4 r'''' / 384 (de Boor 2001, A
Practical Guide to Splines, ch. IV) is greatest for Mercury. States are read once a process: 60 kB for 1,024 days.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body

Floats = NDArray[np.float64]

# 5e-4 au seen between two nodes; more within the 8 days beyond the last one, where the kernel ends.
ERROR_AU: Final = 0.01
_SPACING_D: Final = 8.0
_NODES_AT_ONCE: Final = 128


def rough_positions(time_d: Floats) -> Floats:
    """Barycentric ICRF positions of all bodies, within `ERROR_AU`.

    Args:
        time_d: (N,) days of TDB since J2000.0, within the span of DE440.

    Returns:
        (N, 10, 3) au, in the order of `Body`.
    """
    first_d, intervals = _grid()
    index = np.clip(((time_d - first_d) // _SPACING_D).astype(np.intp), 0, intervals - 1)
    piece = index // _NODES_AT_ONCE
    if len(piece) and (number := int(piece[0])) == piece[-1] and (piece == number).all():
        left = index - number * _NODES_AT_ONCE
        part = (time_d - first_d) / _SPACING_D - index
        return _hermite(_piece(number), left, part[:, None, None])
    positions = np.empty((len(time_d), len(Body), 3))
    for number in np.unique(piece):
        rows = piece == number
        left = index[rows]
        part = (time_d[rows] - first_d) / _SPACING_D - left
        positions[rows] = _hermite(_piece(int(number)), left - number * _NODES_AT_ONCE, part[:, None, None])
    return positions


def _hermite(nodes: Floats, left: NDArray[np.intp], part: Floats) -> Floats:
    before, after = nodes[left], nodes[left + 1]
    rest = 1.0 - part
    at_nodes: Floats = rest**2 * (1.0 + 2.0 * part) * before[..., :3] + part**2 * (1.0 + 2.0 * rest) * after[..., :3]
    bend: Floats = rest * part * _SPACING_D * (rest * before[..., 3:] - part * after[..., 3:])
    return at_nodes + bend


@cache
def _grid() -> tuple[float, int]:
    """The first node, days of TDB since J2000.0, and how many whole intervals the kernel has."""
    low, high = ephemeris.span_tdb_jd()
    return low - J2000_TDB_JD, int((high - low) // _SPACING_D)


@cache
def _piece(number: int) -> Floats:
    """(129, 10, 6) states at consecutive nodes; fewer at the end of the kernel."""
    first_d, intervals = _grid()
    nodes = np.arange(number * _NODES_AT_ONCE, min((number + 1) * _NODES_AT_ONCE, intervals) + 1)
    return np.stack(list(ephemeris.states_of_many(Body, first_d + _SPACING_D * nodes).values()), axis=1)
