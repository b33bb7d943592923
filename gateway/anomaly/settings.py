# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the anomaly pod: `ORRERY_ANOMALY_…`, and those that it shares."""

from typing import Final

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import ListenAddress
from gateway.serving.processors import cpu_quota
from gateway.serving.settings import DriftSettings, ModelStoreSettings, ServingSettings, TransportSettings


class AnomalySettings(ModelStoreSettings, ServingSettings):
    """Where the pod listens, and where its forests are."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_ANOMALY_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50052"
    metrics_address: ListenAddress = "127.0.0.1:9102"
    # At 500 objects a call, 64 are answered within two thirds of a second.
    calls_under_way: int = Field(default=64, ge=1)

    threads: int = Field(
        default_factory=cpu_quota,
        ge=1,
        description="Threads for calls, and as many that divide the rows of large ones.",
        json_schema_extra={"unit": "threads", "default": "its processors"},
    )


SETTINGS: Final = (AnomalySettings, DriftSettings, TransportSettings)
