# SPDX-License-Identifier: GPL-3.0-or-later
"""What the definitions say of many orbits at once: Earth MOID, potentially hazardous, orbit class."""

from dataclasses import fields
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.neo.earth_orbit import covered, earth_orbits
from gateway.neo.elements import Orbits
from gateway.neo.hazard import potentially_hazardous
from gateway.neo.moid import earth_moid_au, moid_au
from gateway.neo.orbit_class import classify
from gateway.serving.turns import Pieces, by_blocks

Floats = NDArray[np.float64]

COLUMNS: Final = 7
"""Of the front's rows: q (au), e, i, node, argument of perihelion (deg), H, epoch (TDB JD)."""
_H: Final = 5
_EPOCH: Final = 6
_FEW_EPOCHS: Final = 64
"""Up to here the epochs of merged callers are looked up one by one: most are known already."""


_LEAST_ROWS: Final = 1_024
"""Of a piece: a few milliseconds, and too many to look up epochs one by one where each row has its own."""


class Verdicts(NamedTuple):
    """What the definitions say of N orbits, as columns; the MOID is NaN where it is unknown."""

    earth_moid_au: Floats
    potentially_hazardous: NDArray[np.bool_]
    orbit_class: NDArray[np.int8]


NO_VERDICTS: Final = Verdicts(np.empty(0), np.empty(0, np.bool_), np.empty(0, np.int8))
"""Of nothing."""


def judge(rows: Floats) -> Verdicts:
    """Apply the definitions.

    Args:
        rows: (N, 7), see `COLUMNS`; checked.
    """
    return _verdicts(rows, _earth_moid_au(rows))


def judge_in_pieces(rows: Floats) -> Pieces[Verdicts]:
    """`judge` of many rows, some at a time."""
    moid_au = np.empty(len(rows))

    def work(part: slice) -> None:
        moid_au[part] = _earth_moid_au(rows[part])

    yield from by_blocks(len(rows), work, least=_LEAST_ROWS)
    return _verdicts(rows, moid_au)


def _verdicts(rows: Floats, moid_au: Floats) -> Verdicts:
    # A comparison with NaN is false: what is unknown is not called hazardous.
    return Verdicts(moid_au, potentially_hazardous(moid_au, rows[:, _H]), classify(rows[:, 0], rows[:, 1]))


def _earth_moid_au(rows: Floats) -> Floats:
    # Neither the MOID nor the class depends on where the object is on its orbit.
    epoch = rows[:, _EPOCH]
    if (epoch == epoch[0]).all():
        return _moid_at(float(epoch[0]), rows)
    distinct, which = np.unique(epoch, return_inverse=True)
    if len(distinct) > _FEW_EPOCHS:
        q, e, inclination, node, argument = rows[:, :_H].T
        return earth_moid_au(Orbits(q, e, inclination, node, argument, epoch, epoch))
    moid_au = np.empty(len(rows))
    for number, one in enumerate(distinct.tolist()):
        here = which == number
        moid_au[here] = _moid_at(one, rows[here])
    return moid_au


def _moid_at(epoch_tdb_jd: float, rows: Floats) -> Floats:
    shape = _earth_shape(epoch_tdb_jd)
    return np.full(len(rows), np.nan) if shape is None else moid_au(rows, shape)


@lru_cache(maxsize=1024)
def _earth_shape(epoch_tdb_jd: float) -> Floats | None:
    """Catalogues share a few epochs; finding Earth's orbit costs 300 us, one MOID 4."""
    if not covered(epoch_tdb_jd):
        return None
    earth = earth_orbits(epoch_tdb_jd)
    return np.array([getattr(earth, field.name)[0] for field in fields(earth)[:_H]])
