# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the simulation pod: `ORRERY_SIMULATION_…`, and those that it shares."""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings
from gateway.serving.processors import cpu_quota
from gateway.serving.settings import PROJECT_ROOT, ServingSettings, TransportSettings

# What `make asteroid-kernel` writes.
ASTEROID_KERNEL: Final = PROJECT_ROOT / "var" / "kernels" / "sb441-n16-1550-2650.bsp"


def _default_kernel() -> Path | None:
    return ASTEROID_KERNEL if ASTEROID_KERNEL.exists() else None


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


class KernelSettings(Settings):
    """Where optional ephemerides lie."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True)

    asteroid_kernel: Annotated[File | None, BeforeValidator(_none_if_empty)] = Field(
        default_factory=_default_kernel,
        validation_alias="ORRERY_ASTEROID_KERNEL",
        description="An SPK file of the 16 most massive asteroids (sb441-n16.bsp, or an excerpt by date). Unset: the"
        " excerpt of `make asteroid-kernel`, if it is there. Empty: no asteroid perturbs anything.",
        json_schema_extra={"default": "var/kernels/sb441-n16-1550-2650.bsp"},
    )


class SimulationSettings(KernelSettings, ServingSettings):
    """Where the pod listens, and how many simulations it runs at once."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_SIMULATION_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50053"
    metrics_address: ListenAddress = "127.0.0.1:9103"

    workers: int = Field(
        default_factory=cpu_quota,
        ge=1,
        description="Worker processes. Each works on one job at a time, in turns: a simulation or part of an estimate.",
        json_schema_extra={"unit": "processes", "default": "its processors"},
    )
    max_waiting: int = Field(
        default=64,
        ge=0,
        description="Calls let in beyond one for each worker; more are refused at once. A single caller gets at most"
        " half of all places, k callers at most 1 / (k + 1) of them each.",
        json_schema_extra={"unit": "calls"},
    )
    max_run_s: float = Field(
        default=300.0,
        gt=0,
        description="The most processor time of a job, whatever the caller's deadline: satellites of a planet can take"
        " hours.",
    )


SETTINGS: Final = (SimulationSettings, TransportSettings)
