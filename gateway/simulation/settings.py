# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the simulation pod: `ORRERY_SIMULATION_…`, and `ORRERY_ASTEROID_KERNEL`."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings
from gateway.serving.settings import PROJECT_ROOT, ServingSettings

# What `make asteroid-kernel` writes.
ASTEROID_KERNEL: Final = PROJECT_ROOT / "var" / "kernels" / "sb441-n16-1550-2650.bsp"


def _default_kernel() -> Path | None:
    return ASTEROID_KERNEL if ASTEROID_KERNEL.exists() else None


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


class KernelSettings(Settings):
    """Where optional ephemerides lie."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True)

    # SPK file of the 16 most massive asteroids (sb441-n16.bsp or an excerpt by date). Unset: the excerpt that
    # `make asteroid-kernel` wrote, if it is there. Empty, or where there is none: asteroids perturb nothing.
    asteroid_kernel: Annotated[File | None, BeforeValidator(_none_if_empty)] = Field(default_factory=_default_kernel)


class SimulationSettings(ServingSettings):
    """Where the pod listens, and how many simulations it runs at once."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_SIMULATION_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50053"
    metrics_address: ListenAddress = "127.0.0.1:9103"

    asteroid_kernel: File | None = Field(default_factory=lambda: KernelSettings().asteroid_kernel)

    # Processes, one job each: a simulation, or a part of an estimate.
    workers: int = Field(default=len(os.sched_getaffinity(0)), ge=1)
    # Calls that are let in beyond one a process, and wait or share; any more are refused at once.
    max_waiting: int = Field(default=32, ge=0)
    # The least that a refused caller is told to wait; more where the line will take longer.
    retry_after_s: float = Field(default=1.0, gt=0)
    # No job may take longer, whatever the caller's deadline: satellites of a planet can take hours.
    max_run_s: float = Field(default=300.0, gt=0)
    # How often the service's health follows the workers'.
    health_period_s: float = Field(default=0.5, gt=0)
