# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to REBOUND and ASSIST: a massless object among bodies that move as DE440 says.

ASSIST (Holman et al. 2023, PSJ 4, 69) gives the forces, REBOUND's IAS15 (Rein & Spiegel 2015, MNRAS 446, 1424; step
control of Pham, Rein & Spiegel 2024, OJAp 7, 1) follows them. Steps are taken one by one: `Simulation.integrate`
would install a signal handler of its own.
"""

import contextlib
import ctypes
import enum
import math
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import assist
import numpy as np
import rebound
from numpy.typing import NDArray

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation.ephemeris import PLANET_KERNEL
from gateway.simulation.steps import Steps

Floats = NDArray[np.float64]

INTEGRATOR: Final = f"REBOUND {rebound.__version__} IAS15"

# Nearer to the end than 0.1 ms is there: a Julian date resolves 0.04 ms.
_ARRIVED_D: Final = 1e-9
# The first step; IAS15 quadruples it each time until it fits. Starts beside a planet need it as short as this.
_FIRST_STEP_D: Final = 1e-3
# The clock starts anew after so many days: what it cannot resolve is where the planets seem to tremble. Counted from
# J2000 that moved Apophis by 1.4 km in the year after 2029 and hid the difference between step controls; now 5 m.
_NEW_CLOCK_D: Final = 256.0
# Shorter steps than this cost time and win nothing: 86 s, in which an object at Earth's surface moves 1,000 km.
_MIN_STEP_D: Final = 1e-3
# No clock gets there: marks a state that ASSIST is to forget.
_NEVER_D: Final = 1e306
_SUN_MOON_AND_PLANETS: Final = 11
_GRAVITY: Final = ("SUN", "PLANETS", "ASTEROIDS")
_POST_NEWTONIAN_SOURCES: Final = 11


class Fidelity(enum.IntEnum):
    """How exactly the forces are followed; the numbers are those of the public contract."""

    FAST = 1
    PRECISE = 2
    AUDIT = 3


@dataclass(frozen=True, slots=True)
class _Recipe:
    forces: tuple[str, ...]
    adaptive_mode: int
    epsilon: float
    description: str


_HARMONICS: Final = ("EARTH_HARMONICS", "SUN_HARMONICS")
_HARMONICS_TEXT: Final = "J2, J3, J4 of Earth, J2 of the Sun"
# Step control: REBOUND's epsilon of 1e-9 in mode 2 left 1.6 km after 31 days there and back (388945 in 2020),
# 1e-10 left 24 m and 1e-11 0.2 m. Without Earth's oblateness Apophis is 1,830 km off a year after 2029.
_RECIPES: Final = {
    Fidelity.FAST: _Recipe((*_HARMONICS, "GR_SIMPLE"), 2, 1e-10, f"GR of the Sun; {_HARMONICS_TEXT}"),
    Fidelity.PRECISE: _Recipe((*_HARMONICS, "GR_EIH"), 2, 1e-11, f"GR of 11 bodies (EIH); {_HARMONICS_TEXT}"),
    Fidelity.AUDIT: _Recipe(
        (*_HARMONICS, "GR_EIH"), 1, 1e-9, f"GR of 11 bodies (EIH); {_HARMONICS_TEXT}; strict steps"
    ),
}


@dataclass(frozen=True, slots=True)
class Forces:
    """What acts on the object.

    Attributes:
        fidelity: which forces, and how carefully.
        a1_au_d2: radial non-gravitational acceleration at 1 au, falling with the inverse square of the distance.
        a2_au_d2: transverse.
        a3_au_d2: normal.
        asteroid_kernel: SPK file of the 16 perturbing asteroids; None leaves them out.
    """

    fidelity: Fidelity = Fidelity.FAST
    a1_au_d2: float = 0.0
    a2_au_d2: float = 0.0
    a3_au_d2: float = 0.0
    asteroid_kernel: Path | None = None

    @property
    def description(self) -> str:
        """The force model in words, for the provenance."""
        asteroids = ", 16 asteroids" if has_asteroids(self.asteroid_kernel) else ""
        text = (
            f"ASSIST {assist.__version__}: Sun, planets, Moon, Pluto{asteroids}; {_RECIPES[self.fidelity].description}"
        )
        return f"{text}; A1-A3" if self._pushed else text

    @property
    def pushes_au_d2(self) -> Floats:
        """(3,) A1, A2, A3."""
        return np.array([self.a1_au_d2, self.a2_au_d2, self.a3_au_d2])

    @property
    def _pushed(self) -> bool:
        return bool(self.pushes_au_d2.any())


class Cancelled(Exception):
    """The integration was told to stop: nobody waits for the answer any more."""


class _Flight:
    """Massless objects on their way together: one simulation, one step for all."""

    def __init__(self, states: Floats, time_d: float, forces: Forces, pushes_au_d2: Floats | None = None) -> None:
        recipe = _RECIPES[forces.fidelity]
        pushes = np.tile(forces.pushes_au_d2, (len(states), 1)) if pushes_au_d2 is None else pushes_au_d2
        simulation = rebound.Simulation()
        clock = _OwnClock.from_buffer_copy(_ephemeris(forces.asteroid_kernel))
        extras = assist.Extras(simulation, clock)
        extras.forces = [*_GRAVITY, *recipe.forces, *(("NON_GRAVITATIONAL",) if pushes.any() else ())]
        extras.gr_eih_sources = _POST_NEWTONIAN_SOURCES
        extras.particle_params = pushes.ravel()
        simulation.ri_ias15.adaptive_mode = recipe.adaptive_mode
        simulation.ri_ias15.epsilon = recipe.epsilon
        simulation.ri_ias15.min_dt = _MIN_STEP_D
        simulation.t = time_d
        for _ in states:
            simulation.add(rebound.Particle())
        self._simulation = simulation
        self._clock = clock
        self._cached_times = _cached_times(extras, clock)
        # A particle of REBOUND begins with its position and velocity; particles stay where they are if none is added.
        doubles = ctypes.sizeof(rebound.Particle) // ctypes.sizeof(ctypes.c_double)
        particles = (ctypes.c_double * (doubles * len(states))).from_address(ctypes.addressof(simulation.particles[0]))
        self._places: Floats = np.ctypeslib.as_array(particles).reshape(len(states), doubles)[:, :6]
        self._places[:] = states
        self._well = simulation._status  # noqa: SLF001  # REBOUND has no public one
        self._given = forces, pushes
        self._direction = 1.0
        self._step_d = _FIRST_STEP_D
        self._coefficients: list[Floats] = []
        self._set_clock()

    @property
    def time_d(self) -> float:
        """Days of TDB since J2000.0."""
        return float(self._origin_d + self._simulation.t)

    def _head_for(self, until_d: float) -> None:
        """Say where the next steps go."""
        direction = math.copysign(1.0, until_d - self.time_d)
        if direction != self._direction:
            self._direction = direction
            self._forget_cached_states()

    def _step(self, until_d: float) -> None:
        """One step, shortened where it would go too far."""
        remaining_d = (until_d - self._origin_d) - self._simulation.t
        self._simulation.dt = math.copysign(min(self._step_d, abs(remaining_d)), remaining_d)
        rebound.clibrebound.reb_simulation_step(ctypes.byref(self._simulation))
        self._step_d = abs(self._simulation.dt)
        if abs(self._simulation.t) > _NEW_CLOCK_D:
            self._set_clock()

    @property
    def _failed(self) -> bool:
        return bool(self._simulation._status != self._well)  # noqa: SLF001  # REBOUND has no public one

    def _heed_messages(self) -> None:
        """Raise what REBOUND or ASSIST call an error, warn of what they call a warning."""
        self._simulation.process_messages()

    def _set_clock(self) -> None:
        """Count from the nearest whole day: exact, since it only takes leading digits away."""
        whole_d = float(np.round(self._simulation.t))
        self._clock.jd_ref += whole_d
        self._simulation.t -= whole_d
        self._origin_d = float(self._clock.jd_ref - J2000_TDB_JD)
        self._forget_cached_states()

    def _forget_cached_states(self) -> None:
        """Empty ASSIST's cache: each body's states at seven times, of which it gives up the earliest.

        (Backwards: the latest.) After a change of clock or direction it would hold on to times that never come again,
        recompute every state in every iteration of every step, and could take a state of the old clock for one of now.
        """
        self._cached_times[:] = -self._direction * _NEVER_D

    def _acceleration_coefficients(self) -> Floats:
        """(8, 3 N): a_0, b_0 ... b_6 of the step just taken, which REBOUND keeps in private arrays."""
        if not self._coefficients:
            # They come into being with the first step and stay where they are as long as no particle is added.
            ias15: Any = self._simulation.ri_ias15
            pointers = [ias15._a0, *(getattr(ias15._br, f"p{k}") for k in range(7))]  # noqa: SLF001  # no public way
            size = 3 * len(self._places)
            self._coefficients = [np.ctypeslib.as_array(pointer, (size,)) for pointer in pointers]
        return np.array(self._coefficients)


class Integrator(_Flight):
    """One object on its way.

    Attributes:
        time_d: where it is, days of TDB since J2000.0.
        warnings: what the integrator had to say, each once.
    """

    def __init__(self, state: Floats, time_d: float, forces: Forces) -> None:
        """Put the object at its start.

        Args:
            state: (6,) barycentric ICRF, au and au/d.
            time_d: days of TDB since J2000.0.
            forces: what acts on it.
        """
        super().__init__(np.asarray(state)[None], time_d, forces)
        self.warnings: list[str] = []

    @property
    def state(self) -> Floats:
        """(6,) barycentric ICRF, au and au/d."""
        place: Floats = self._places[0].copy()
        return place

    def advance(self, until_d: float, *, max_steps: int, cancelled: Callable[[], bool] = lambda: False) -> Steps | None:
        """Go on towards a time, at most so many steps.

        Args:
            until_d: the last step ends there; before `time_d` it runs backwards.
            max_steps: at least 1.
            cancelled: asked before every step.

        Returns:
            The steps taken; None where the object is there already.

        Raises:
            Cancelled: when told so.
            RuntimeError: the integrator failed.
        """
        times, states = [self.time_d], [self.state]
        accelerations: list[Floats] = []
        self._head_for(until_d)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            while len(accelerations) < max_steps and abs(until_d - self.time_d) > _ARRIVED_D and not self._failed:
                if cancelled():
                    raise Cancelled
                self._step(until_d)
                times.append(self.time_d)
                states.append(self.state)
                accelerations.append(self._acceleration_coefficients())
            # Once, not after each step: it costs as much as half a step.
            self._heed_messages()
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            if text not in self.warnings:
                self.warnings.append(text)
        if not accelerations:
            return None
        return Steps(np.array(times), np.array(states), np.array(accelerations))


@dataclass(frozen=True, slots=True, eq=False)
class SwarmStep:
    """A step of N objects: as `Steps`, with an axis for the objects.

    Attributes:
        start_d: days of TDB since J2000.0.
        end_d: the same.
        states: (N, 6) at the start, barycentric ICRF, au and au/d.
        accelerations: (8, N, 3) coefficients of the acceleration in h, lowest first, au/d^2.
    """

    start_d: float
    end_d: float
    states: Floats
    accelerations: Floats


class Swarm(_Flight):
    """Many objects on their way in one simulation: the bodies' places are looked up once for all of them.

    The object in the closest encounter sets the step of all. Objects do not feel each other. Where they are pushed
    differently, `pushes_au_d2` of shape (N, 3) holds A1, A2, A3 of each in place of those of the forces.

    Attributes:
        time_d: where they are, days of TDB since J2000.0.
    """

    @property
    def states(self) -> Floats:
        """(N, 6) barycentric ICRF, au and au/d."""
        return self._places.copy()

    def only(self, rows: NDArray[np.intp]) -> "Swarm":
        """Some of the objects, from where they are, with the step that fits them; this swarm is done with."""
        forces, pushes = self._given
        swarm = Swarm(self.states[rows], self.time_d, forces, pushes[rows])
        swarm._step_d = self._step_d
        return swarm

    def step(self, until_d: float) -> SwarmStep | None:
        """One step towards a time; None where the objects are there already.

        Raises:
            RuntimeError: the integrator failed.
        """
        start_d = self.time_d
        if abs(until_d - start_d) <= _ARRIVED_D:
            return None
        self._head_for(until_d)
        states = self.states
        self._step(until_d)
        self._heed_messages()
        return SwarmStep(start_d, self.time_d, states, self._acceleration_coefficients().reshape(8, -1, 3))


class _OwnClock(assist.Ephem):  # type: ignore[misc]  # the library has no types
    """A copy of ASSIST's ephemeris whose times count from an epoch of its own; the kernels stay with the original."""

    def __del__(self) -> None:
        """Leave the kernels open: the original's would close them under every other copy."""


class _Kernel(ctypes.Structure):
    """How `struct spk_s` of ASSIST's spk.h begins."""

    _fields_ = (("targets", ctypes.c_void_p), ("count", ctypes.c_int))


def _cached_times(extras: assist.Extras, ephemeris: assist.Ephem) -> Floats:
    """The times whose states ASSIST keeps, seven a body: `struct assist_ephem_cache` of assist.h begins with them.

    Raises:
        RuntimeError: they are not where this version of ASSIST has them.
    """
    # Not through `extras.ephem`: what that returns frees the kernels when it is dropped.
    asteroids = ephemeris.spk_asteroids
    count = _SUN_MOON_AND_PLANETS + (_Kernel.from_address(asteroids).count if asteroids else 0)
    pointer_to_times = ctypes.POINTER(ctypes.POINTER(ctypes.c_double))
    first_member = ctypes.cast(extras._ephem_cache, pointer_to_times).contents  # noqa: SLF001  # no public way
    times: Floats = np.ctypeslib.as_array(first_member, (7 * count,))
    if not (times == -_NEVER_D).all():
        raise RuntimeError("ASSIST keeps its ephemeris cache elsewhere: this version is not known")
    return times


def has_asteroids(asteroid_kernel: Path | None) -> bool:
    """Whether asteroids perturb the object, given the kernel that was configured."""
    return bool(_ephemeris(asteroid_kernel).spk_asteroids)


def ephemeris_description(asteroid_kernel: Path | None) -> str:
    """Where the bodies' positions come from, in words, for the provenance."""
    if asteroid_kernel is not None and has_asteroids(asteroid_kernel):
        return f"DE440; 16 asteroid perturbers from {asteroid_kernel.name}"
    return "DE440; no asteroid perturbers"


@cache
def _ephemeris(asteroid_kernel: Path | None) -> Any:
    """ASSIST's view of the kernels, read once a process.

    Raises:
        FileNotFoundError: the asteroid kernel cannot be read.
    """
    if asteroid_kernel is None:
        with _silent_stderr():
            return assist.Ephem(str(PLANET_KERNEL))
    ephemeris = assist.Ephem(str(PLANET_KERNEL), str(asteroid_kernel))
    if not ephemeris.spk_asteroids:
        raise FileNotFoundError(f"the asteroid kernel {asteroid_kernel} is not there or is no SPK file")
    return ephemeris


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep C code's own lines out of the log: ASSIST remarks on absent asteroids, which every reply says anyway."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
