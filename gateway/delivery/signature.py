# SPDX-License-Identifier: GPL-3.0-or-later
"""Who published a model: an Ed25519 signature of its SHA256SUMS; the one door to cryptography's keys here.

Made with `openssl pkeyutl -sign -rawin -inkey private.pem -in SHA256SUMS -out SHA256SUMS.sig`.
"""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.serving.checksums import NotWhole

SIGNATURE_FILE = "SHA256SUMS.sig"


def load_key(path: Path) -> Ed25519PublicKey:
    """The public key of a PEM file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no Ed25519 public key.
    """
    key = load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path} holds no Ed25519 key")  # noqa: TRY004  # what is wrong is the file's content
    return key


def check_signature(key: Ed25519PublicKey, sums: bytes, signature: bytes, folder: str) -> None:
    """Hold a list of sums against its signature.

    Raises:
        NotWhole: somebody else signed it, or nobody.
    """
    try:
        key.verify(signature, sums)
    except InvalidSignature as error:
        raise NotWhole(f"the signature of {folder} is not of this key") from error
