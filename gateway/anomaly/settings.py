# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the anomaly pod: `ORRERY_ANOMALY_…`, and the model store's `ORRERY_MODEL_STORE`."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import ListenAddress
from gateway.serving.settings import ModelStoreSettings, ServingSettings


class AnomalySettings(ServingSettings):
    """Where the pod listens, and which forests it serves."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_ANOMALY_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50052"
    metrics_address: ListenAddress = "127.0.0.1:9102"

    model_store: Path = Field(default_factory=lambda: ModelStoreSettings().model_store)
    forest_name: str = "neo_anomaly"
    # How many of the newest versions stay loaded, so that a caller may pin the one before.
    kept_versions: int = Field(default=2, ge=1)
    # How often the store is looked at for a new version.
    poll_s: float = Field(default=2.0, gt=0)

    # At 500 objects a call, 64 are answered within two thirds of a second.
    calls_under_way: int = Field(default=64, ge=1)

    # Threads for calls, and as many that share out the rows of large ones.
    threads: int = Field(default=len(os.sched_getaffinity(0)), ge=1)
