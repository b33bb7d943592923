# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings every pod shares; each pod's own class adds its prefix and its fields.

A setting is read from the environment: `ORRERY_<POD>_<NAME>`, for example `ORRERY_FRONT_ADDRESS`.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[2]

MIB = 1024 * 1024


class ServingSettings(BaseSettings):
    """What a gRPC server of ours needs to know."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True, protected_namespaces=())

    # host:port; port 0 takes a free one.
    address: str
    # host:port of the Prometheus endpoint (GET /metrics); port 0 takes a free one.
    metrics_address: str
    log_level: str = "INFO"

    # How long calls in flight may go on after SIGTERM.
    grace_s: float = Field(default=8.0, ge=0)
    # How long the server stays open, already "not serving", so that balancers look away first.
    drain_delay_s: float = Field(default=0.0, ge=0)

    # 100,000 objects as nine columns of doubles are 7.2 MB.
    max_message_bytes: int = Field(default=16 * MIB, ge=MIB)
    # Calls beyond these are refused at once with RESOURCE_EXHAUSTED, or wait in the client.
    maximum_concurrent_rpcs: int = Field(default=256, ge=1)
    max_concurrent_streams: int = Field(default=128, ge=1)
    max_connection_age_s: float = Field(default=600.0, gt=0)
    # Half-open connections are closed after this (measured: 1000 of 1000).
    handshake_timeout_s: float = Field(default=3.0, gt=0)


class ModelStoreSettings(BaseSettings):
    """Where published models lie: `<store>/<name>/<version>/`; `ORRERY_MODEL_STORE`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True, protected_namespaces=())

    model_store: Path = PROJECT_ROOT / "var" / "models"


def split_address(address: str) -> tuple[str, int]:
    """The host and port of "host:port" ("[::1]:50051" for IPv6).

    Raises:
        ValueError: there is no port, or it is no number from 0 to 65535.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)
