# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of an impact estimate and what it answers, free of any transport; everything here can be pickled.

Times are days of TDB since J2000.0 (`time_d`).
"""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.impact import Impactor
from gateway.neo.orbits import Orbits
from gateway.simulation.bodies import Body
from gateway.simulation.entry import Entry
from gateway.simulation.nbody import Forces

Floats = NDArray[np.float64]

DEFAULT_BODIES: Final = (Body.VENUS, Body.EARTH, Body.MOON, Body.MARS)
REACH_AU: Final = 0.05
"""Passages nearer than this are encounters: 7.5 million km, as for potentially hazardous objects."""

_TELL_EVERY_S: Final = 0.2


class Method(enum.IntEnum):
    """How a probability came about; the numbers are those of the public contract."""

    LINEAR = 1
    IMPORTANCE_SAMPLING = 2
    MONTE_CARLO = 3


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """An object, how well it is known, and when it might hit what.

    Attributes:
        state: (6,) nominal, heliocentric ecliptic, au and au/d.
        state_d: when.
        orbit: the nominal orbit as it was given; None where a state was.
        pushes_au_d2: (3,) nominal A1, A2, A3.
        labels: (n) names of the uncertain parameters.
        spread: (n, k) from a standard normal vector to their deviations.
        spread_d: when the deviations hold.
        icrf: whether Cartesian parameters have the axes of the ICRF.
        barycentric: whether their origin is the barycentre.
        window_d: from when to when hits count.
        bodies: whose hits count.
        method: asked for; None leaves the choice.
        samples: at most so many clones are drawn.
        target: where to stop: the interval's half width in parts of the probability.
        seed: of all that is random.
        forces: what acts on the object, A1 to A3 aside.
        impactor: size and mass; None where nothing is known of them.
        notes: what the reader of the request already has to say.
    """

    state: Floats
    state_d: float
    orbit: Orbits | None
    pushes_au_d2: Floats
    labels: tuple[str, ...]
    spread: Floats
    spread_d: float
    icrf: bool
    barycentric: bool
    window_d: tuple[float, float]
    bodies: tuple[Body, ...]
    method: Method | None
    samples: int
    target: float
    seed: int
    forces: Forces
    impactor: Impactor | None = None
    notes: tuple[str, ...] = ()

    @property
    def reach_au(self) -> dict[Body, float]:
        """Up to where passages are encounters."""
        return dict.fromkeys(self.bodies, REACH_AU)


@dataclass(frozen=True, slots=True, eq=False)
class TargetMap:
    """Where the members near one of them pierce a body's target plane, to first order: b = centre + slope (z - at).

    Attributes:
        body: what is encountered.
        time_d: when that member is nearest, or crosses the surface.
        at: (k,) the member's coordinates in units of sigma.
        centre_km: (2,) its xi and zeta.
        slope_km: (2, k) their derivatives.
        capture_km: impact parameter of a grazing hit.
        v_infinity_km_s: speed far from the body.
        speed_km_s: relative speed there.
        hit: whether the member hits the body.
    """

    body: Body
    time_d: float
    at: Floats
    centre_km: Floats
    slope_km: Floats
    capture_km: float
    v_infinity_km_s: float
    speed_km_s: float
    hit: bool

    @property
    def origin_km(self) -> Floats:
        """(2,) the image of z = 0, where the map is followed to there."""
        image: Floats = self.centre_km - self.slope_km @ self.at
        return image

    @property
    def covariance_km2(self) -> Floats:
        """(2, 2) of the whole cloud's image."""
        product: Floats = self.slope_km @ self.slope_km.T
        return product


@dataclass(frozen=True, slots=True)
class Ellipse:
    """One sigma of the cloud's image in a target plane.

    Attributes:
        xi_km: of its centre.
        zeta_km: of its centre.
        semi_major_km: the stretching: km a sigma along the line of variations.
        semi_minor_km: the width.
        angle_deg: of the major axis, from xi towards zeta, 0 to 180.
    """

    xi_km: float
    zeta_km: float
    semi_major_km: float
    semi_minor_km: float
    angle_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One encounter: the impacts on one body within some days.

    Attributes:
        body: what is hit.
        time_d: when the most probable of its impactors hits (or is nearest).
        probability: that this is the object's first impact.
        low: the interval's.
        high: the interval's.
        hits: clones that hit.
        at: (k,) the most probable impactor, in units of sigma.
        target: the map around it; None where it has none.
        linear: how far the linear map was off where it was checked, in parts of the capture radius.
        speed_km_s: of the impactor at the surface.
        entry: into Earth's atmosphere.
        within_reach: whether `at` hits the body; else it only goes towards it, as far as the uncertainty does.
    """

    body: Body
    time_d: float
    probability: float
    low: float
    high: float
    hits: int
    at: Floats | None = None
    target: TargetMap | None = None
    linear: float | None = None
    speed_km_s: float | None = None
    entry: Entry | None = None
    within_reach: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What is known so far.

    Attributes:
        method: how the probability came about.
        probability: of any impact within the window.
        low: the interval's.
        high: the interval's; where nothing hit, a bound of 95 %.
        samples: clones drawn for it.
        hits: of those.
        unseen: 95 % bound on impacts that no search found; None where nothing was searched for.
        rows: by time.
        final: whether this is the last.
        complete: whether all work was done; for the last.
        notes: what to keep in mind.
    """

    method: Method
    probability: float
    low: float
    high: float
    samples: int
    hits: int
    unseen: float | None
    rows: tuple[Row, ...]
    final: bool = False
    complete: bool = False
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Moved:
    """How far one job is, 0 to 1."""

    fraction_done: float


def mover(
    emit: Callable[[Moved], None], start_d: float, end_d: float, *, done: float = 0.0, share: float = 1.0
) -> Callable[[float], None]:
    """What a flight tells its days to after each step, so that others hear of its progress a few times a second.

    Args:
        emit: told how far the whole job is.
        start_d: of the flight.
        end_d: the same.
        done: of the job, before it.
        share: of the job, that it is.
    """
    next_s = 0.0

    def moved(time_d: float) -> None:
        nonlocal next_s
        # Each message costs the pool's process as much time as a step of some clones costs a worker.
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _TELL_EVERY_S
            emit(Moved(done + share * min(1.0, (time_d - start_d) / (end_d - start_d))))

    return moved
