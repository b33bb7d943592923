# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the front: `ORRERY_FRONT_…`, and those that it shares."""

from typing import Final

from pydantic import Field, SecretStr
from pydantic.config import JsonDict
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import ListenAddress
from gateway.serving.quotas import QuotaSettings
from gateway.serving.settings import BackendSettings, DriftSettings, ServingSettings, TransportSettings

_TARGET: Final[JsonDict] = {"unit": "gRPC target"}
_SHARE: Final[JsonDict] = {"unit": "share"}


class FrontSettings(QuotaSettings, ServingSettings):
    """Where the front listens, and where its backends are."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_FRONT_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50051"
    metrics_address: ListenAddress = "127.0.0.1:9101"
    maximum_concurrent_rpcs: int = Field(default=2048, ge=1)
    max_concurrent_streams: int = Field(default=1024, ge=1)

    model_server_address: str = Field(
        default="127.0.0.1:8500",
        description="The model server. In a cluster a headless name, `dns:///tf-serving:8500`; `plaintext:` before it"
        " makes an exception where other channels use TLS.",
        json_schema_extra=_TARGET,
    )
    anomaly_address: str = Field(default="127.0.0.1:50052", description="The anomaly pods.", json_schema_extra=_TARGET)
    simulation_address: str = Field(
        default="127.0.0.1:50053", description="The simulation pods.", json_schema_extra=_TARGET
    )
    feedback_address: str = Field(
        default="127.0.0.1:50054", description="The feedback pods.", json_schema_extra=_TARGET
    )

    prediction_deadline_s: float = Field(
        default=10.0, gt=0, description="The longest a prediction may take, whatever deadline its caller set."
    )
    anomaly_deadline_s: float = Field(
        default=30.0, gt=0, description="The longest a call of the anomaly pods may take."
    )
    simulation_deadline_s: float = Field(
        default=300.0, gt=0, description="The longest a call of the simulation pods may take."
    )
    feedback_deadline_s: float = Field(
        default=30.0, gt=0, description="The longest a call of the feedback pods may take."
    )
    stream_deadline_s: float = Field(
        default=3600.0,
        gt=0,
        description="The longest a stream in both directions may take; each of its messages has the deadline of its"
        " call.",
    )

    cache_rows: int = Field(
        default=32_768,
        ge=0,
        description="Predictions of single objects that are kept, about 0.4 kB each; 0 turns the cache off.",
        json_schema_extra={"unit": "objects"},
    )
    cache_redis_url: SecretStr | None = Field(
        default=None,
        description="A Redis with the predictions that all fronts share, `redis://host:6379/0`. Unset: each front has"
        " its own.",
        json_schema_extra={"unit": "URL"},
    )

    canary_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="The share of objects that the version labelled `canary` answers, of callers who choose no version"
        " (docs/retraining.md).",
        json_schema_extra=_SHARE,
    )
    shadow_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="The share of objects that the version labelled `challenger` is asked about as well, for"
        " comparison only.",
        json_schema_extra=_SHARE,
    )


SETTINGS: Final = (FrontSettings, BackendSettings, DriftSettings, TransportSettings)
