# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the front: `ORRERY_FRONT_…`."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import ListenAddress
from gateway.serving.settings import ServingSettings


class FrontSettings(ServingSettings):
    """Where the front listens, and where its backends are."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_FRONT_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50051"
    metrics_address: ListenAddress = "127.0.0.1:9101"

    # gRPC targets; in a cluster headless names: "dns:///anomaly:50052".
    model_server_address: str = "127.0.0.1:8500"
    anomaly_address: str = "127.0.0.1:50052"
    simulation_address: str = "127.0.0.1:50053"
    feedback_address: str = "127.0.0.1:50054"

    classifier_name: str = "neo_classifier"
    # As the Open Inference Protocol calls what the anomaly pod serves.
    forest_name: str = "neo_anomaly"

    # The longest a call may take, whatever deadline its caller set (or forgot to set).
    prediction_deadline_s: float = Field(default=10.0, gt=0)
    anomaly_deadline_s: float = Field(default=30.0, gt=0)
    simulation_deadline_s: float = Field(default=300.0, gt=0)
    feedback_deadline_s: float = Field(default=30.0, gt=0)

    # A stream both ways may go on for so long, each of its messages for prediction_deadline_s.
    stream_deadline_s: float = Field(default=3600.0, gt=0)

    # Calls to the model server: at a time and model, and the objects merged into one.
    batches_under_way: int = Field(default=2, ge=1)
    batch_max_rows: int = Field(default=256, ge=1)
    # A larger request goes alone, for its own work outweighs what a call costs, in parts of so many objects, of which
    # so many are worked on at a time: the front's memory for a request is bounded by that and the request itself.
    column_part_rows: int = Field(default=16_384, ge=1)
    column_parts_under_way: int = Field(default=4, ge=1)
    # Messages of one stream that are worked on at a time, and their summed objects.
    stream_messages_under_way: int = Field(default=64, ge=1)
    stream_rows_under_way: int = Field(default=200_000, ge=1)

    # Predictions of single objects kept, about 0.4 kB each; 0 turns the cache off.
    cache_rows: int = Field(default=32_768, ge=0)
    # For how long "the newest version" or a label is what the model server last said it is.
    cache_fresh_s: float = Field(default=0.25, ge=0)
    # "redis://host:6379/0": predictions that all fronts share, each kept for so long. Unset: each front has its own.
    cache_redis_url: SecretStr | None = None
    cache_redis_kept_s: int = Field(default=86_400, ge=1)

    # Labels of the model server, looked up once a period while callers ask: docs/retraining.md. Callers who choose no
    # version are answered by the stable one where that label is served, this share of objects by the canary where that
    # one is.
    stable_label: str = Field(default="stable", min_length=1)
    canary_label: str = Field(default="canary", min_length=1)
    canary_share: float = Field(default=0.05, ge=0, le=1)
    label_period_s: float = Field(default=1.0, gt=0)
    # The challenger is asked this share of objects as well, for comparison only, so many calls at a time.
    shadow_label: str = Field(default="challenger", min_length=1)
    shadow_share: float = Field(default=0.05, ge=0, le=1)
    shadow_calls_under_way: int = Field(default=4, ge=1)
    shadow_deadline_s: float = Field(default=1.0, gt=0)

    health_period_s: float = Field(default=1.0, gt=0)
