# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects on their way together."""

import ctypes
from dataclasses import dataclass
from typing import Any, Final

import assist
import numpy as np
import rebound
from numpy.typing import NDArray

from gateway.simulation.nbody._swarm_forces import SwarmForces, attach
from gateway.simulation.nbody.flight import ARRIVED_D, Extras, Flight
from gateway.simulation.nbody.forces import GRAVITY, RECIPES, Forces
from gateway.simulation.nbody.kernels import STATES_KEPT

Floats = NDArray[np.float64]

_IN_VECTORS: Final = (*GRAVITY, "GR_SIMPLE", "SUN_HARMONICS")
# The force function that REBOUND calls; it is told where it finds what it needs.
_PULL: Final = attach(rebound.Simulation.extras.offset, Extras.own.offset)


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

    def of(self, rows: NDArray[np.intp]) -> "SwarmStep":
        """The same step of some of the objects."""
        return SwarmStep(self.start_d, self.end_d, self.states[rows], self.accelerations[:, rows])


class Swarm(Flight):
    """Many objects on their way in one simulation: the bodies' places are looked up once for all of them.

    The object in the closest encounter sets the step of all. Objects do not feel each other. Where they are pushed
    differently, `pushes_au_d2` of shape (N, 3) holds A1, A2, A3 of each in place of those of the forces.

    Attributes:
        time_d: where they are, days of TDB since J2000.0.
    """

    def __init__(
        self,
        states: Floats,
        time_d: float,
        forces: Forces,
        pushes_au_d2: Floats | None = None,
        *,
        first_step_d: float | None = None,
    ) -> None:
        """Put the objects at their start.

        Args:
            states: (N, 6) barycentric ICRF, au and au/d.
            time_d: days of TDB since J2000.0.
            forces: what acts on them.
            pushes_au_d2: (N, 3) A1, A2, A3 of each, in place of those of the forces.
            first_step_d: where it is known; else short, and longer until it fits.
        """
        super().__init__(states, time_d, forces, pushes_au_d2)
        self._step_d = first_step_d or self._step_d
        self._calm = False
        self._own_forces = self._take_forces()

    @property
    def states(self) -> Floats:
        """(N, 6) barycentric ICRF, au and au/d."""
        return self._places.copy()

    def be_calm(self, calm: bool) -> None:
        """Say whether the next steps stay far from all bodies: at `FAST` they are longer then, and Earth is round."""
        recipe = RECIPES[self._given.fidelity]
        if calm == self._calm or recipe.calm_epsilon is None:
            return
        self._calm = calm
        self._simulation.ri_ias15.epsilon = recipe.calm_epsilon if calm else recipe.epsilon
        self._extras.forces = [name for name in self._left_to_assist if not (calm and name == "EARTH_HARMONICS")]

    @property
    def next_step_d(self) -> float:
        """How long the next step is to be, in days."""
        return self._step_d

    def own_steps_d(self, step: SwarmStep, calm: NDArray[np.bool_]) -> Floats:
        """(N,) the step that each object would take alone: IAS15's control (see `RECIPES`) on its own acceleration.

        Args:
            step: the last one.
            calm: (N,) which of them would be calm.
        """
        recipe = RECIPES[self._given.fidelity]
        epsilon = np.where(calm, recipe.calm_epsilon or recipe.epsilon, recipe.epsilon)
        greatest = np.abs(step.accelerations[0]).max(axis=1)
        last = np.maximum(np.abs(step.accelerations[7]).max(axis=1), 1e-300)
        own_d: Floats = abs(step.end_d - step.start_d) * (epsilon * greatest / last) ** (1.0 / 7.0)
        return own_d

    def step(self, until_d: float) -> SwarmStep | None:
        """One step towards a time; None where the objects are there already.

        Raises:
            RuntimeError: the integrator failed.
        """
        start_d = self.time_d
        if abs(until_d - start_d) <= ARRIVED_D:
            return None
        self._head_for(until_d)
        states, planned_d = self.states, self._step_d
        self._step(until_d)
        self._heed_messages()
        if abs(until_d - self.time_d) <= ARRIVED_D:
            # A step that was cut short says nothing of the next.
            self._step_d = max(self._step_d, planned_d)
        return SwarmStep(start_d, self.time_d, states, self._acceleration_coefficients().reshape(8, -1, 3))

    def _take_forces(self) -> SwarmForces:
        """Compute in vectors what can be, and leave the rest to ASSIST."""
        extras, clock, simulation = self._extras, self._clock, self._simulation
        names = extras.forces
        all_flags = extras._forces  # noqa: SLF001  # no public way
        self._left_to_assist = [name for name in names if name not in _IN_VECTORS]
        extras.forces = self._left_to_assist
        taken = SwarmForces(
            time_at=ctypes.addressof(simulation) + rebound.Simulation.t.offset,
            particles_at=self._places.ctypes.data,
            stride=self._places.strides[0] // self._places.itemsize,
            count=len(self._places),
            ephem_at=ctypes.addressof(clock),
            cache_at=extras._ephem_cache,  # noqa: SLF001  # no public way
            bodies=len(self._cached_times) // STATES_KEPT,
            flags_at=ctypes.addressof(extras) + Extras._forces.offset,  # noqa: SLF001  # no public way
            all_flags=all_flags,
            relativity="GR_SIMPLE" in names,
            oblateness="SUN_HARMONICS" in names,
            sun_j2=clock.J2SUN,
            sun_radius_au=clock.Rs_eq,
            c2=clock.c_squared,
            find_at=_address(assist.clibassist.assist_all_ephem),
            others_at=_address(assist.clibassist.assist_additional_forces),
        )
        extras.own = taken.address
        function = ctypes.addressof(simulation) + rebound.Simulation._additional_forces.offset  # noqa: SLF001  # as above
        ctypes.c_void_p.from_address(function).value = _PULL
        return taken


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)
