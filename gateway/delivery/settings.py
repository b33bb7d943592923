# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the delivery of models: `ORRERY_DELIVERY_…`, and the model store's `ORRERY_MODEL_STORE`."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings
from gateway.serving.settings import MIB, LogLevel, ModelStoreSettings


def _split(value: Any) -> Any:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


class DeliverySettings(Settings):
    """Where published models are, which are wanted, and where they go."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_DELIVERY_", frozen=True, protected_namespaces=())

    # A folder ("/published"), or a bucket ("s3://bucket/prefix", "gs://…", "az://…") whose region, endpoint and
    # credentials come from the cloud's own variables (AWS_REGION, AWS_ENDPOINT_URL, …) or from the machine's identity.
    source: str
    # Names of models, with "," between them.
    models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(min_length=1)
    # Where they go: `<store>/<name>/<version>/`.
    model_store: Path = Field(default_factory=lambda: ModelStoreSettings().model_store)

    # How many of the newest versions are kept: one more than a server holds (models.config: two), so that none is
    # removed while it is being served.
    keep_versions: int = Field(default=3, ge=1)
    # How often a follower looks for new versions, and where it shows its metrics.
    every_s: float = Field(default=30.0, gt=0)
    metrics_address: ListenAddress = "127.0.0.1:9105"

    # Ed25519 public key (PEM). Set: only versions whose SHA256SUMS it signed (SHA256SUMS.sig) are delivered.
    public_key_file: File | None = None
    # No file of a model is larger.
    max_file_bytes: int = Field(default=1024 * MIB, ge=MIB)
    log_level: LogLevel = "INFO"
