# SPDX-License-Identifier: GPL-3.0-or-later
"""Real certificates for tests, of an authority that lives as long as they do."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

A_DAY = dt.timedelta(days=1)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def pem_of(key):
    """A private key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Authority:
    """Signs certificates for 127.0.0.1 and localhost."""

    def __init__(self, name="test authority"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(_name(name), self._key.public_key(), _name(name), ca=True)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def pair(self, common_name, *, alternative_name=None):
        """A certificate and its key, both as PEM; serving 127.0.0.1 unless it has a name of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = (
            [x509.DNSName(alternative_name)]
            if alternative_name
            else [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )
        signed = self._sign(_name(common_name), key.public_key(), self._certificate.subject, names=names)
        return signed.public_bytes(serialization.Encoding.PEM), pem_of(key)

    def write(self, folder: Path, common_name, **options):
        """Files of a pair: <common_name>.pem and <common_name>.key, and the authority's own ca.pem."""
        folder.mkdir(exist_ok=True)
        certificate, key = self.pair(common_name, **options)
        paths = folder / f"{common_name}.pem", folder / f"{common_name}.key", folder / "ca.pem"
        for path, content in zip(paths, (certificate, key, self.pem), strict=True):
            path.write_bytes(content)
        return paths

    def _sign(self, subject, public_key, issuer, *, ca=False, names=()):
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - A_DAY)
            .not_valid_after(now + A_DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        return builder.sign(self._key, hashes.SHA256())
