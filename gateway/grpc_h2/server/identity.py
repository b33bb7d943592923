# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at the other end of a connection: names and properties as gRPC's `auth_context` gives them."""

from __future__ import annotations

import ssl
from typing import Any

_INSECURE = {"transport_security_type": [b"insecure"], "security_level": [b"TSI_SECURITY_NONE"]}
_SECURE = {"transport_security_type": [b"ssl"], "security_level": [b"TSI_PRIVACY_AND_INTEGRITY"]}


def names_of(certificate: dict[str, Any] | None) -> tuple[str | None, list[bytes] | None]:
    """The key and the names that gRPC would give: the alternative ones, or else the common one."""
    if certificate is None:
        return None, None
    if alternative := _alternative_names(certificate):
        return "x509_subject_alternative_name", alternative
    common = _common_names(certificate)
    return ("x509_common_name", common) if common else (None, None)


def auth_context_of(tls: ssl.SSLObject | None) -> dict[str, list[bytes]]:
    """Properties of a connection; those of the peer's certificate where it has shown one."""
    if tls is None:
        return dict(_INSECURE)
    properties = dict(_SECURE)
    content = tls.getpeercert(binary_form=True)
    certificate: dict[str, Any] = tls.getpeercert() or {}
    if content and certificate:
        properties["x509_pem_cert"] = [ssl.DER_cert_to_PEM_cert(content).encode()]
        if common := _common_names(certificate):
            properties["x509_common_name"] = common
        if alternative := _alternative_names(certificate):
            properties["x509_subject_alternative_name"] = alternative
    return properties


def _alternative_names(certificate: dict[str, Any]) -> list[bytes]:
    return [str(name[1]).encode() for name in certificate.get("subjectAltName", ())]


def _common_names(certificate: dict[str, Any]) -> list[bytes]:
    fields = [field for part in certificate.get("subject", ()) for field in part]
    return [str(value).encode() for key, value in fields if key == "commonName"]
