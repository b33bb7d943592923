# SPDX-License-Identifier: Apache-2.0
"""How to reach the gateway: retries, balancing over all its addresses, keepalive that its servers accept, and TLS."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

SERVICE_CONFIG: Final = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                # Every method of these services can be asked twice; votes have a request_id for that.
                "name": [
                    {"service": f"orrery.inference.v1.{name}Service"}
                    for name in ("Prediction", "Anomaly", "Simulation", "Feedback")
                ],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)

OPTIONS: Final = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

Token: TypeAlias = "str | Callable[[], str]"  # noqa: S105  # a type
"""A bearer token, or what gives the one to use now."""

_SCHEME = re.compile(r"(?:dns|ipv4|ipv6|passthrough):(?://[^/]*/)?")


class UnsafeTokenError(ValueError):
    """A token would cross a network for all to read."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Encryption, and who both sides are. PEM.

    Attributes:
        ca: certificates of the authorities that may have signed the gateway's; None for those that gRPC ships with.
        certificate: shown to a gateway that asks for one (mTLS).
        key: of that certificate.
        server_name: in the gateway's certificate, where it is not the host of its address.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")

    @classmethod
    def from_files(
        cls,
        ca: str | PathLike[str] | None = None,
        certificate: str | PathLike[str] | None = None,
        key: str | PathLike[str] | None = None,
        *,
        server_name: str | None = None,
    ) -> Self:
        """Read the files once.

        Raises:
            OSError: one of them cannot be read.
        """
        ca_pem, certificate_pem, key_pem = (
            None if path is None else Path(path).read_bytes() for path in (ca, certificate, key)
        )
        return cls(ca_pem, certificate_pem, key_pem, server_name)


def open_channel(target: str, tls: Tls | None = None) -> grpc.Channel:
    """A channel to the gateway; it connects when it is first used.

    Args:
        target: "127.0.0.1:50051", or "dns:///front:50051" to balance over all addresses of a name.
        tls: None for plaintext.
    """
    if tls is None:
        return grpc.insecure_channel(target, options=_options(target, None))
    return grpc.secure_channel(target, _credentials(tls), options=_options(target, tls))


def open_async_channel(target: str, tls: Tls | None = None) -> grpc.aio.Channel:
    """The same for asyncio; see `open_channel`."""
    if tls is None:
        return grpc.aio.insecure_channel(target, options=_options(target, None))
    return grpc.aio.secure_channel(target, _credentials(tls), options=_options(target, tls))


def bearer(target: str, tls: Tls | None, token: Token | None) -> Callable[[], tuple[tuple[str, str], ...]]:
    """The metadata that says who is asking, made anew for each call.

    Raises:
        UnsafeTokenError: neither does TLS protect the token, nor does it stay on this machine.
    """
    if token is None:
        return tuple
    if tls is None and not is_loopback(target):
        raise UnsafeTokenError(f"a token for {target} would be sent in plaintext: give tls")

    def metadata() -> tuple[tuple[str, str], ...]:
        value = token if isinstance(token, str) else token()
        if not value.isascii() or not value.isprintable() or not value:
            raise ValueError("a token is printable ASCII")
        return (("authorization", f"Bearer {value}"),)

    return metadata


def is_loopback(target: str) -> bool:
    """Whether an address or a gRPC target stays on this machine.

    Args:
        target: "127.0.0.1:50051", "[::1]:0", "unix:/run/pod.sock", "dns:///localhost:50052", "ipv4:127.0.0.1:1".
    """
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    return all(_host_is_loopback(part) for part in _SCHEME.sub("", target, count=1).split(","))


def _host_is_loopback(address: str) -> bool:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::\d+)?", address)
    host = bracketed[1] if bracketed else address.partition(":")[0]
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)


def _options(target: str, tls: Tls | None) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = list(OPTIONS)
    if is_loopback(target):
        # What is meant to stay on this machine does not go to a proxy that the environment names.
        options.append(("grpc.enable_http_proxy", 0))
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options
