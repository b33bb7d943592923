# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to REBOUND and ASSIST: massless objects among bodies that move as DE440 says.

ASSIST (Holman et al. 2023, PSJ 4, 69) gives the forces, REBOUND's IAS15 (Rein & Spiegel 2015, MNRAS 446, 1424; step
control of Pham, Rein & Spiegel 2024, OJAp 7, 1) follows them: one object on its way (`Integrator`) or many together
(`Swarm`).
"""

from gateway.simulation.nbody.flight import ARRIVED_D, INTEGRATOR, Cancelled
from gateway.simulation.nbody.forces import Fidelity, Forces, MarsdenLaw
from gateway.simulation.nbody.integrator import Integrator
from gateway.simulation.nbody.kernels import has_asteroids
from gateway.simulation.nbody.swarm import Swarm, SwarmStep

__all__ = [
    "ARRIVED_D",
    "INTEGRATOR",
    "Cancelled",
    "Fidelity",
    "Forces",
    "Integrator",
    "MarsdenLaw",
    "Swarm",
    "SwarmStep",
    "has_asteroids",
]
