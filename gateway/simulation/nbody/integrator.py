# SPDX-License-Identifier: GPL-3.0-or-later
"""One object on its way."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.nbody.flight import ARRIVED_D, Cancelled, Flight
from gateway.simulation.nbody.forces import Forces
from gateway.simulation.steps import Steps
from gateway.simulation.surfaces import LEAST_GRAVITY_AU_D2, body_around

Floats = NDArray[np.float64]


class Integrator(Flight):
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
        """Go on towards a time, at most so many steps, and no farther than the first that ends within a body.

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
        while len(accelerations) < max_steps and abs(until_d - self.time_d) > ARRIVED_D and not self._failed:
            if cancelled():
                raise Cancelled
            self._step(until_d)
            times.append(self.time_d)
            states.append(self.state)
            accelerations.append(self._acceleration_coefficients())
            # Looking up all bodies costs as much as several steps; far from them all no pull is as strong.
            if np.linalg.norm(accelerations[-1].sum(axis=0)) > LEAST_GRAVITY_AU_D2 and self._within_a_body():
                break
        # Not around the steps: what is caught is caught for all threads, and a job may be halted between two steps.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Once, not after each step: it costs as much as half a step.
            self._heed_messages()
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            if text not in self.warnings:
                self.warnings.append(text)
        if not accelerations:
            return None
        return Steps(np.array(times), np.array(states), np.array(accelerations))

    def _within_a_body(self) -> bool:
        return body_around(self.state, self.time_d) is not None
