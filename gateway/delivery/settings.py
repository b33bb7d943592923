# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the delivery of models: `ORRERY_DELIVERY_…`, and `ORRERY_MODEL_STORE`."""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from gateway.serving.environment import File, ListenAddress
from gateway.serving.settings import LogLevel, ModelStoreSettings


def _split(value: Any) -> Any:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


class DeliverySettings(ModelStoreSettings):
    """Where published models are, which are wanted, and where they go."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_DELIVERY_", frozen=True, protected_namespaces=())

    source: str = Field(
        description="Where models are published: a folder, or a bucket (`s3://bucket/prefix`, `gs://…`, `az://…`)"
        " whose region, endpoint and credentials come from the cloud's own variables (`AWS_REGION`,"
        " `AWS_ENDPOINT_URL`, …) or from the machine's identity.",
        json_schema_extra={"unit": "path or URL"},
    )
    models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        min_length=1,
        description="The models to deliver, with commas between them.",
        json_schema_extra={"unit": "names"},
    )
    every_s: float = Field(default=30.0, gt=0, description="How often `--follow` looks for new versions.")
    metrics_address: ListenAddress = Field(
        default="127.0.0.1:9105", description="Where Prometheus finds `GET /metrics` of `--follow`."
    )
    public_key_file: File | None = Field(
        default=None,
        description="An Ed25519 public key (PEM). Set: only versions whose SHA256SUMS it signed (`SHA256SUMS.sig`) are"
        " delivered.",
    )
    log_level: LogLevel = Field(default="INFO", description="The least important lines that are logged.")


SETTINGS: Final = (DeliverySettings,)
