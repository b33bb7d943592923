# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS of servers and of channels, renewed while they run; plaintext without a word on loopback only."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.serving.reloading import Reloading
from gateway.serving.settings import BackendSettings, ServingSettings
from gateway.serving.starting import CannotStart
from orrery.inference.channel import is_loopback

# What a server's TLS is made of.
TLS_FIELDS: Final = ("tls_certificate_file", "tls_key_file", "client_ca_file")


class UnsafeSettings(CannotStart):
    """Settings that would open a pod to a network without protection, unless told to."""


def require_safe(settings: ServingSettings) -> None:
    """Refuse to open a pod to a network unprotected.

    Raises:
        UnsafeSettings: the sentence names the setting that would allow it.
    """
    prefix = settings.model_config.get("env_prefix", "")
    if settings.tls_certificate_file is None and (settings.tls_key_file or settings.client_ca_file):
        raise UnsafeSettings(f"TLS needs {prefix}TLS_CERTIFICATE_FILE and {prefix}TLS_KEY_FILE")
    if settings.tls_certificate_file is not None and settings.tls_key_file is None:
        raise UnsafeSettings(f"{prefix}TLS_CERTIFICATE_FILE needs {prefix}TLS_KEY_FILE")
    if settings.authenticates and settings.anonymous_allowed:
        raise UnsafeSettings(f"{prefix}ANONYMOUS_ALLOWED contradicts the callers and keys that are set")
    if settings.admin_address and not is_loopback(settings.admin_address):
        raise UnsafeSettings(f"{prefix}ADMIN_ADDRESS must be on loopback: it shows every connection to whoever asks")
    if is_loopback(settings.address):
        return
    if settings.tls_certificate_file is None and not settings.plaintext_allowed:
        raise UnsafeSettings(
            f"{settings.address} is open to a network: set {prefix}TLS_CERTIFICATE_FILE, or, where a mesh encrypts"
            f" between pods, {prefix}PLAINTEXT_ALLOWED=true"
        )
    if not (settings.authenticates or settings.client_ca_file or settings.anonymous_allowed):
        raise UnsafeSettings(
            f"{settings.address} is open to a network: set {prefix}CALLERS_FILE, {prefix}JWT_KEY_FILE or"
            f" {prefix}CLIENT_CA_FILE, or, where only pods of ours can reach it, {prefix}ANONYMOUS_ALLOWED=true"
        )


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files of a server's TLS.

    Attributes:
        certificate: its chain (PEM).
        key: of the certificate (PEM, not encrypted).
        client_ca: certificates of an authority that clients' certificates must come from; None for any client.
    """

    certificate: Path
    key: Path
    client_ca: Path | None

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [self.certificate, self.key, *([self.client_ca] if self.client_ca else [])]

    def contexts(self) -> Callable[[], ssl.SSLContext]:
        """The context as the files are now.

        Raises:
            OSError: a file cannot be read.
            ValueError: they are no certificate and key that belong together, or no certificates of an authority.
        """

        def parse(_chain: bytes, _private: bytes, ca: bytes | None = None) -> ssl.SSLContext:
            return server_context(self, ca)

        return Reloading(self.paths, parse).current


def server_tls(settings: ServingSettings) -> ServerTls | None:
    """TLS of a server, None for plaintext.

    Raises:
        OSError: a file cannot be read.
        ValueError: they are no certificate and key that belong together, or no certificates of an authority.
    """
    certificate, key, client_ca = settings.tls_certificate_file, settings.tls_key_file, settings.client_ca_file
    if certificate is None or key is None:
        return None
    tls = ServerTls(certificate, key, client_ca)
    server_context(tls, client_ca.read_bytes() if client_ca else None)
    return tls


def server_context(tls: ServerTls, client_ca: bytes | None) -> ssl.SSLContext:
    """A server's context, from its files as they are and the content of its clients' authority.

    Raises:
        OSError: a file cannot be read.
        ValueError: they make no sense.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    # A session that is taken up again would let its client in without a look at who may be let in by now.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    context.load_cert_chain(tls.certificate, tls.key, password=_nobody)
    if client_ca is not None:
        context.load_verify_locations(cadata=client_ca.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def channel_files(target: str, settings: BackendSettings) -> list[Path] | None:
    """Files of a channel's TLS: authority, certificate, key; None for plaintext.

    Raises:
        UnsafeSettings: the target is not on this machine, and nothing says that plaintext will do.
    """
    certificate, key = settings.certificate_file, settings.key_file
    if settings.ca_file is None:
        if certificate or key:
            raise UnsafeSettings("ORRERY_BACKEND_CERTIFICATE_FILE needs ORRERY_BACKEND_CA_FILE")
        if is_loopback(target) or settings.plaintext_allowed:
            return None
        raise UnsafeSettings(
            f"{target} is across a network: set ORRERY_BACKEND_CA_FILE, or, where a mesh encrypts between pods,"
            " ORRERY_BACKEND_PLAINTEXT_ALLOWED=true"
        )
    if (certificate is None) != (key is None):
        raise UnsafeSettings("ORRERY_BACKEND_CERTIFICATE_FILE and ORRERY_BACKEND_KEY_FILE go together")
    return [path for path in (settings.ca_file, certificate, key) if path]


def client_tls(target: str, settings: BackendSettings) -> Callable[[], ssl.SSLContext] | None:
    """TLS of a channel, None for plaintext; another context once the files are others.

    Raises:
        UnsafeSettings: see `channel_files`.
        OSError: a file cannot be read.
        ValueError: they are no certificates or keys.
    """
    paths = channel_files(target, settings)
    if paths is None:
        return None

    def parse(ca: bytes, _chain: bytes = b"", _private: bytes = b"") -> ssl.SSLContext:
        return client_context(settings, ca)

    return Reloading(paths, parse).current


def client_context(settings: BackendSettings, ca: bytes) -> ssl.SSLContext:
    """A channel's context, from the content of the servers' authority, and its own files as they are.

    Raises:
        OSError: a file cannot be read.
        ValueError: they make no sense.
    """
    # Names are checked, and certificates required: the default of this protocol.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=ca.decode())
    if settings.certificate_file is not None and settings.key_file is not None:
        context.load_cert_chain(settings.certificate_file, settings.key_file, password=_nobody)
    return context


def _nobody() -> bytes:
    """Opens no encrypted key: nobody is there to do it."""
    return b""
