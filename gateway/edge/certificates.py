# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys of the edge. Envoy reads them again when they are replaced (SDS from the file system)."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.edge.settings import EdgeSettings
from gateway.serving.tls import UnsafeSettings

_RESOURCE: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def secrets(settings: EdgeSettings) -> dict[str, dict[str, Any]]:
    """Envoy's secrets by name, each as the resource file that Envoy reads.

    The names are those in serving_config/envoy/envoy.yaml.j2.
    """
    found = {
        name: {"tls_certificate": {"certificate_chain": _file(certificate), "private_key": _file(key)}}
        for name, (certificate, key) in _pairs(settings).items()
    } | {name: {"validation_context": {"trusted_ca": _file(path)}} for name, path in _authorities(settings).items()}
    return {name: {"resources": [{"@type": _RESOURCE, "name": name, **secret}]} for name, secret in found.items()}


def require_usable(settings: EdgeSettings) -> None:
    """Read every certificate and key, because Envoy starts without those that it cannot use.

    Raises:
        UnsafeSettings: a file does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for certificate, key in _pairs(settings).values():
        with _refusing(f"{certificate} and {key} must be a certificate and its key, in PEM and not encrypted"):
            context.load_cert_chain(certificate, key, password=_no_password)
    for path in _authorities(settings).values():
        with _refusing(f"{path} must hold certificates in PEM"):
            context.load_verify_locations(cafile=path)


@contextlib.contextmanager
def _refusing(requirement: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        # Its text names places in OpenSSL's source.
        raise UnsafeSettings(requirement) from error


def _no_password() -> bytes:
    """Keep OpenSSL from asking for the password of an encrypted key at the terminal."""
    return b""


def _pairs(settings: EdgeSettings) -> dict[str, tuple[Path, Path]]:
    found = {
        "edge": (settings.tls_certificate_file, settings.tls_key_file),
        "edge-to-front": (settings.front_certificate_file, settings.front_key_file),
    }
    return {name: (certificate, key) for name, (certificate, key) in found.items() if certificate and key}


def _authorities(settings: EdgeSettings) -> dict[str, Path]:
    found = {"caller-ca": settings.client_ca_file, "front-ca": settings.front_ca_file}
    return {name: path for name, path in found.items() if path}


def _file(path: Path) -> dict[str, str]:
    return {"filename": str(path)}
