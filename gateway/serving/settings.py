# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that several pods share; each pod's own class adds its prefix and its fields.

A setting is read from the environment: `ORRERY_<POD>_<NAME>`, for example `ORRERY_FRONT_ADDRESS`; docs/settings.md
lists them all.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]

MIB: Final = 1024 * 1024

# The models' names in the store, in models.config and in the Open Inference Protocol.
CLASSIFIER_NAME: Final = "neo_classifier"
FOREST_NAME: Final = "neo_anomaly"


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


LogLevel: TypeAlias = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]


class ReportingSettings(Settings):
    """Where every pod sends traces and error reports: `ORRERY_TRACING_…`, `ORRERY_ERRORS_DSN`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True)

    tracing_endpoint: str | None = Field(
        default=None,
        validation_alias="ORRERY_TRACING_ENDPOINT",
        description="An OpenTelemetry collector's gRPC address, `http://collector:4317` (`https://…` for TLS). Unset:"
        " no traces.",
        json_schema_extra={"unit": "URL"},
    )
    tracing_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        validation_alias="ORRERY_TRACING_SHARE",
        description="The share of calls that begin a trace. A call that belongs to a trace follows that trace's"
        " decision.",
        json_schema_extra={"unit": "share"},
    )
    errors_dsn: SecretStr | None = Field(
        default=None,
        validation_alias="ORRERY_ERRORS_DSN",
        description="The DSN of a Sentry-compatible server, which gets internal errors. Unset: they are in the log"
        " only.",
        json_schema_extra={"unit": "URL"},
    )


class TransportSettings(Settings):
    """What carries the calls of every server and channel of a pod: `ORRERY_GRPC_TRANSPORT`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True)

    grpc_transport: Literal["grpc_h2", "grpcio"] = Field(
        default="grpc_h2",
        validation_alias="ORRERY_GRPC_TRANSPORT",
        description="What carries gRPC: `grpc_h2` is this project's, in the event loop's own thread; `grpcio` is gRPC's"
        " own, in its threads (docs/decisions/0020-which-transport-ships.md). All ports and channels of a pod use it.",
    )


class BackendSettings(Settings):
    """How a pod's channels to other pods are protected: `ORRERY_BACKEND_…`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_BACKEND_", frozen=True)

    ca_file: File | None = Field(
        default=None,
        description="Certificates (PEM) of the authority that signed the other pods' certificates. Set: all channels"
        " use TLS.",
    )
    certificate_file: File | None = Field(
        default=None,
        description="The certificate chain (PEM) that this pod shows to pods that ask for one (mTLS); read again when"
        " it changes.",
    )
    key_file: File | None = Field(default=None, description="The key of that certificate (PEM, not encrypted).")
    server_name: str | None = Field(
        default=None,
        description="The name in the other pods' certificates. Unset: the host of their address.",
        json_schema_extra={"unit": "host name"},
    )
    plaintext_allowed: bool = Field(
        default=False,
        description="Allow channels in plaintext to other machines: a mesh encrypts between pods.",
    )


class ServingSettings(ReportingSettings):
    """What the gRPC server of every pod of ours needs to know."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True, protected_namespaces=())

    address: ListenAddress = Field(description="Where the pod serves gRPC. Port 0 takes a free port.")
    metrics_address: ListenAddress = Field(
        description="Where Prometheus finds `GET /metrics`. Port 0 takes a free port."
    )
    health_address: ListenAddress | None = Field(
        default=None,
        description="A second port with nothing but the pod's health, in plaintext: for probes, which speak no TLS and"
        " must be answered when the pod is full. Unset: closed.",
    )
    admin_address: ListenAddress | None = Field(
        default=None, description="channelz and the pod's health, on loopback only. Unset: closed."
    )
    log_level: LogLevel = Field(default="INFO", description="The least important lines that are logged.")

    grace_s: float = Field(default=8.0, ge=0, description="How long calls in flight may go on after SIGTERM.")
    drain_delay_s: float = Field(
        default=0.0,
        ge=0,
        description="How long the pod goes on taking calls after SIGTERM, already `not serving`, until balancers have"
        " noticed.",
    )

    max_message_bytes: int = Field(
        default=16 * MIB,
        ge=MIB,
        description="The largest request or reply. 100,000 objects as columns take 7.2 MB.",
    )
    calls_under_way: int = Field(
        default=128,
        ge=1,
        description="Calls served at a time. More are refused at once with `RESOURCE_EXHAUSTED` and a time to retry"
        " after (docs/benchmarks/overload.md).",
        json_schema_extra={"unit": "calls"},
    )
    maximum_concurrent_rpcs: int = Field(
        default=8192,
        ge=1,
        description="Calls of all methods at a time, health included, streams that wait for their callers as well. More"
        " are refused before anything of them is read, but for connections with less than their share. Pods take four"
        " times what a front does: all of its calls reach them by one connection.",
        json_schema_extra={"unit": "calls"},
    )
    max_concurrent_streams: int = Field(
        default=8192,
        ge=1,
        description="Calls of one connection at a time. More wait in the client until their deadline has nearly"
        " passed, so it is large.",
        json_schema_extra={"unit": "calls"},
    )
    max_connection_age_s: float = Field(
        default=600.0,
        gt=0,
        description="An older connection gets no new calls, so that clients find new pods.",
    )

    tls_certificate_file: File | None = Field(
        default=None, description="The server's certificate chain (PEM); read again when it changes. Unset: plaintext."
    )
    tls_key_file: File | None = Field(default=None, description="The key of that certificate (PEM, not encrypted).")
    client_ca_file: File | None = Field(
        default=None,
        description="Certificates (PEM) of an authority. Set: only callers with a certificate that it signed get a"
        " connection (mTLS).",
    )
    plaintext_allowed: bool = Field(
        default=False,
        description="Allow an address beyond loopback without TLS: a mesh encrypts between pods (docs/security.md).",
    )
    anonymous_allowed: bool = Field(
        default=False,
        description="Allow an address beyond loopback without authentication: only pods of ours can reach it"
        " (docs/security.md).",
    )

    callers_file: File | None = Field(
        default=None,
        description="The list of callers, their roles and credentials (docs/security.md); read again when it changes."
        " Set: callers must authenticate.",
    )
    callers: SecretStr | None = Field(
        default=None,
        description="The same list as text, with `;` between its lines.",
        json_schema_extra={"unit": "text"},
    )
    jwt_key_file: File | None = Field(
        default=None,
        description="Public keys of JSON Web Tokens (PEM or JWKS); read again when it changes. Set: callers must"
        " authenticate.",
    )
    jwt_algorithm: Literal["RS256", "ES256"] = Field(
        default="RS256", description="The algorithm of these tokens' signatures; a token of another one is refused."
    )
    jwt_issuer: str = Field(
        default="", description="The issuer (`iss`) that a token must name.", json_schema_extra={"unit": "text"}
    )
    jwt_audience: str = Field(
        default="", description="The audience (`aud`) that a token must name.", json_schema_extra={"unit": "text"}
    )
    jwt_roles_claim: str = Field(
        default="roles",
        description="The claim with the caller's roles: a list, or one text with spaces.",
        json_schema_extra={"unit": "name"},
    )
    reflection_open: bool = Field(
        default=True,
        description="Everyone may read the contract (server reflection). False: callers with the role `operator` may.",
    )

    @property
    def authenticates(self) -> bool:
        """Whether callers must authenticate."""
        return bool(self.callers_file or self.callers or self.jwt_key_file)


class DriftSettings(Settings):
    """The windows in which drift is watched, the same in every pod: `ORRERY_DRIFT_…`."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_DRIFT_", frozen=True)

    short_window_s: float = Field(
        default=3_600.0, gt=0, description="The short window of drift (docs/retraining.md): a burst shows here only."
    )
    long_window_s: float = Field(
        default=86_400.0, gt=0, description="The long window of drift: what lasts shows in both."
    )


class ModelStoreSettings(Settings):
    """Where published models lie."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_", frozen=True, protected_namespaces=())

    model_store: Path = Field(
        default=PROJECT_ROOT / "var" / "models",
        validation_alias="ORRERY_MODEL_STORE",
        description="The folder of published models, `<store>/<name>/<version>/`.",
    )
