# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the front: `ORRERY_FRONT_…`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.settings import ServingSettings


class FrontSettings(ServingSettings):
    """Where the front listens, and where its backends are."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_FRONT_", frozen=True, protected_namespaces=())

    address: str = "127.0.0.1:50051"
    metrics_address: str = "127.0.0.1:9101"

    # gRPC targets; in a cluster headless names: "dns:///anomaly:50052".
    model_server_address: str = "127.0.0.1:8500"
    anomaly_address: str = "127.0.0.1:50052"
    simulation_address: str = "127.0.0.1:50053"

    classifier_name: str = "neo_classifier"

    # The longest a call may take, whatever deadline its caller set (or forgot to set).
    prediction_deadline_s: float = Field(default=10.0, gt=0)
    anomaly_deadline_s: float = Field(default=30.0, gt=0)
    simulation_deadline_s: float = Field(default=300.0, gt=0)

    health_period_s: float = Field(default=1.0, gt=0)
