# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS of servers and of channels, renewed while they run; plaintext without a word on loopback only."""

import ssl
from collections.abc import Callable
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


def server_tls(settings: ServingSettings) -> Callable[[], ssl.SSLContext] | None:
    """TLS of a server, None for plaintext. Every new connection gets the certificate as the files are now.

    Raises:
        OSError: a file cannot be read.
        ValueError: they are no certificate and key that belong together, or no certificates of a CA.
    """
    certificate, key, client_ca = settings.tls_certificate_file, settings.tls_key_file, settings.client_ca_file
    if certificate is None or key is None:
        return None

    def parse(_chain: bytes, _private: bytes, ca: bytes | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        # A session that is taken up again would let its client in without a look at who may be let in by now.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        context.load_cert_chain(certificate, key, password=_nobody)
        if ca is not None:
            context.load_verify_locations(cadata=ca.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    return Reloading([certificate, key, *([client_ca] if client_ca else [])], parse).current


def client_tls(target: str, settings: BackendSettings) -> Callable[[], ssl.SSLContext] | None:
    """TLS of a channel, None for plaintext; another context once the files are others.

    Raises:
        UnsafeSettings: the target is not on this machine, and nothing says that plaintext will do.
        OSError: a file cannot be read.
        ValueError: they are no certificates or keys.
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

    def parse(ca: bytes, _chain: bytes = b"", _private: bytes = b"") -> ssl.SSLContext:
        # Names are checked, and certificates required: the default of this protocol.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        context.load_verify_locations(cadata=ca.decode())
        if certificate is not None and key is not None:
            context.load_cert_chain(certificate, key, password=_nobody)
        return context

    return Reloading([path for path in (settings.ca_file, certificate, key) if path], parse).current


def _nobody() -> bytes:
    """Opens no encrypted key: nobody is there to do it."""
    return b""
