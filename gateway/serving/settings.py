# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings every pod shares; each pod's own class adds its prefix and its fields.

A setting is read from the environment: `ORRERY_<POD>_<NAME>`, for example `ORRERY_FRONT_ADDRESS`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings

PROJECT_ROOT = Path(__file__).resolve().parents[2]

MIB = 1024 * 1024


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


LogLevel: TypeAlias = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]


class ReportingSettings(Settings):
    """Where a process sends what it sees: `ORRERY_TRACING_ENDPOINT`, `ORRERY_ERRORS_DSN`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True)

    # An OpenTelemetry collector's gRPC address, "http://collector:4317" ("https://…" for TLS). Unset: no traces.
    tracing_endpoint: str | None = None
    # The share of calls that begin a trace; a call that comes with one follows its decision.
    tracing_share: float = Field(default=1.0, ge=0, le=1)
    # The DSN of a Sentry-compatible server for internal errors. Unset: they are in the log only.
    errors_dsn: SecretStr | None = None


class BackendSettings(Settings):
    """How a pod's channels to other pods are protected: `ORRERY_BACKEND_…`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_BACKEND_", frozen=True)

    # Certificates (PEM) of the authority that signed the other pods'. Set: all channels use TLS.
    ca_file: File | None = None
    # What this pod shows to pods that ask for a certificate (mTLS); read anew when the files change.
    certificate_file: File | None = None
    key_file: File | None = None
    # The name in the other pods' certificates, where it is not the host of their address.
    server_name: str | None = None
    # Plaintext to other machines: where a mesh encrypts between pods.
    plaintext_allowed: bool = False


class ServingSettings(Settings):
    """What a gRPC server of ours needs to know."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True, protected_namespaces=())

    # host:port; port 0 takes a free one.
    address: ListenAddress
    # host:port of the Prometheus endpoint (GET /metrics); port 0 takes a free one.
    metrics_address: ListenAddress
    log_level: LogLevel = "INFO"

    # How long calls in flight may go on after SIGTERM.
    grace_s: float = Field(default=8.0, ge=0)
    # How long the server stays open, already "not serving", so that balancers look away first.
    drain_delay_s: float = Field(default=0.0, ge=0)

    # 100,000 objects as nine columns of doubles are 7.2 MB.
    max_message_bytes: int = Field(default=16 * MIB, ge=MIB)
    # Calls beyond these are refused at once with RESOURCE_EXHAUSTED and told when to come back: as many as are answered
    # well within a second (docs/benchmarks/overload.md).
    calls_under_way: int = Field(default=128, ge=1)
    # Of all methods, probes included, before anything of a call is read: this refusal costs least, and says nothing but
    # RESOURCE_EXHAUSTED.
    maximum_concurrent_rpcs: int = Field(default=1024, ge=1)
    # Of one connection. More wait in the client, and come when their deadline has nearly passed: so, many.
    max_concurrent_streams: int = Field(default=1024, ge=1)
    # A connection older than this gets no new calls, so that clients find new pods; those under way may go on for the
    # grace: as long as the longest call, or it would be cut off.
    max_connection_age_s: float = Field(default=600.0, gt=0)
    max_connection_age_grace_s: float = Field(default=3600.0, ge=0)
    # Half-open connections are closed after this (measured: 1000 of 1000).
    handshake_timeout_s: float = Field(default=3.0, gt=0)

    # TLS: certificate chain and key (PEM, not encrypted), read anew when the files change.
    tls_certificate_file: File | None = None
    tls_key_file: File | None = None
    # Set: only callers with a certificate that this authority signed get a connection (mTLS).
    client_ca_file: File | None = None
    # What an address beyond loopback needs in place of TLS and of callers: see docs/security.md.
    plaintext_allowed: bool = False
    anonymous_allowed: bool = False

    # Who may call (gateway/serving/identity.py has the format): a file, read anew when it changes, or the lines
    # themselves. Neither these nor a key for JSON Web Tokens: nobody is asked who they are.
    callers_file: File | None = None
    callers: SecretStr | None = None
    # Public keys that sign JSON Web Tokens: PEM or JWKS, read anew when it changes.
    jwt_key_file: File | None = None
    jwt_algorithm: Literal["RS256", "ES256"] = "RS256"
    jwt_issuer: str = ""
    jwt_audience: str = ""
    # How far clocks may be apart.
    jwt_leeway_s: float = Field(default=30.0, ge=0)
    # The claim with the caller's roles: a list, or one text with spaces.
    jwt_roles_claim: str = "roles"
    # Whether everyone may ask for the contract (server reflection); else the role "operator" may.
    reflection_open: bool = True

    # What one caller may ask for: objects a second over time, and at once. Unset: no quota.
    quota_objects_per_s: float | None = Field(default=None, gt=0)
    quota_burst_objects: float = Field(default=1_000.0, ge=1)
    # What one simulation counts for.
    quota_simulation_objects: float = Field(default=100.0, ge=1)
    # Callers remembered in this process (about 250 bytes each).
    quota_max_callers: int = Field(default=10_000, ge=1)
    # "redis://host:6379/0": buckets that all fronts share. Unset: each front has its own.
    quota_redis_url: SecretStr | None = None

    # host:port of a second server with nothing but the pod's health, in plaintext: for probes, which speak no TLS and
    # must be answered when every call slot of the first server is taken. Unset: closed.
    health_address: ListenAddress | None = None
    # host:port on loopback of channelz and the pod's health; unset: closed.
    admin_address: ListenAddress | None = None
    tracing_endpoint: str | None = Field(default_factory=lambda: ReportingSettings().tracing_endpoint)
    tracing_share: float = Field(default_factory=lambda: ReportingSettings().tracing_share, ge=0, le=1)
    errors_dsn: SecretStr | None = Field(default_factory=lambda: ReportingSettings().errors_dsn)

    @property
    def authenticates(self) -> bool:
        """Whether callers must say who they are."""
        return bool(self.callers_file or self.callers or self.jwt_key_file)


class ModelStoreSettings(Settings):
    """Where published models lie: `<store>/<name>/<version>/`; `ORRERY_MODEL_STORE`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True, protected_namespaces=())

    model_store: Path = PROJECT_ROOT / "var" / "models"
