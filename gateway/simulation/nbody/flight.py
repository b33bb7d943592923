# SPDX-License-Identifier: GPL-3.0-or-later
"""Massless objects on their way together, step by step: `Simulation.integrate` would install a signal handler."""

import ctypes
import math
from typing import Any, Final

import assist
import numpy as np
import rebound
from numpy.typing import NDArray

from gateway.neo.units import J2000_TDB_JD
from gateway.simulation.nbody.forces import GRAVITY, RECIPES, Forces
from gateway.simulation.nbody.kernels import NEVER_D, OwnClock, cached_times, ephemeris

Floats = NDArray[np.float64]

INTEGRATOR: Final = f"REBOUND {rebound.__version__} IAS15"
# Nearer to the end than 0.1 ms is there: a Julian date resolves 0.04 ms.
ARRIVED_D: Final = 1e-9

# The first step; IAS15 quadruples it each time until it fits. Starts beside a planet need it as short as this.
_FIRST_STEP_D: Final = 1e-3
# The clock starts anew after so many days: what it cannot resolve is where the planets seem to tremble. Counted from
# J2000 that moved Apophis by 1.4 km in the year after 2029 and hid the difference between step controls; now 5 m.
_NEW_CLOCK_D: Final = 256.0
# Shorter steps than this cost time and win nothing: 86 s, in which an object at Earth's surface moves 1,000 km.
_MIN_STEP_D: Final = 1e-3
_POST_NEWTONIAN_SOURCES: Final = 11


class Cancelled(Exception):
    """The integration was told to stop: nobody waits for the answer any more."""


class Extras(assist.Extras):  # type: ignore[misc]  # the library has no types
    """ASSIST's, with room behind it for a swarm's own forces, where they find themselves: see `_swarm_forces`."""

    _fields_ = (("own", ctypes.c_void_p),)


class Flight:
    """Massless objects on their way together: one simulation, one step for all."""

    def __init__(self, states: Floats, time_d: float, forces: Forces, pushes_au_d2: Floats | None = None) -> None:
        recipe = RECIPES[forces.fidelity]
        pushes = np.tile(forces.pushes_au_d2, (len(states), 1)) if pushes_au_d2 is None else pushes_au_d2
        simulation = rebound.Simulation()
        clock = OwnClock.from_buffer_copy(ephemeris(forces.asteroid_kernel, forces.without_asteroid))
        extras = Extras(simulation, clock)
        extras.forces = [*GRAVITY, *recipe.forces, *(("NON_GRAVITATIONAL",) if pushes.any() else ())]
        extras.gr_eih_sources = _POST_NEWTONIAN_SOURCES
        extras.particle_params = pushes.ravel()
        if law := forces.marsden:
            # ASSIST's own values are those of the inverse square.
            extras.alpha, extras.r0 = law.alpha, law.r0_au
            extras.nm, extras.nn, extras.nk = law.m, law.n, law.k
        simulation.ri_ias15.adaptive_mode = recipe.adaptive_mode
        simulation.ri_ias15.epsilon = recipe.epsilon
        simulation.ri_ias15.min_dt = _MIN_STEP_D
        simulation.t = time_d
        for _ in states:
            simulation.add(rebound.Particle())
        self._simulation = simulation
        self._extras = extras
        self._clock = clock
        self._cached_times = cached_times(extras, clock)
        # A particle of REBOUND begins with its position and velocity; particles stay where they are if none is added.
        doubles = ctypes.sizeof(rebound.Particle) // ctypes.sizeof(ctypes.c_double)
        particles = (ctypes.c_double * (doubles * len(states))).from_address(ctypes.addressof(simulation.particles[0]))
        self._places: Floats = np.ctypeslib.as_array(particles).reshape(len(states), doubles)[:, :6]
        self._places[:] = states
        self._well = simulation._status  # noqa: SLF001  # REBOUND has no public one
        self._given = forces
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
        self._cached_times[:] = -self._direction * NEVER_D

    def _acceleration_coefficients(self) -> Floats:
        """(8, 3 N): a_0, b_0 ... b_6 of the step just taken, which REBOUND keeps in private arrays."""
        if not self._coefficients:
            # They come into being with the first step and stay where they are as long as no particle is added.
            ias15: Any = self._simulation.ri_ias15
            pointers = [ias15._a0, *(getattr(ias15._br, f"p{k}") for k in range(7))]  # noqa: SLF001  # no public way
            size = 3 * len(self._places)
            self._coefficients = [np.ctypeslib.as_array(pointer, (size,)) for pointer in pointers]
        return np.array(self._coefficients)
