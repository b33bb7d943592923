# SPDX-License-Identifier: GPL-3.0-or-later
"""From a contributor's token to what stands beside the votes, and to the key that leads there.

    lookup    = HMAC(secret, "lookup" token)         finds the contributor's row of keys
    salt      = 32 random bytes in that row
    pseudonym = HMAC(HMAC(secret, "key" salt), token)  stands beside each vote

HMAC is HMAC-SHA256 (RFC 2104, FIPS 198-1). Neither table says which of its rows belongs to which of the other's: that
takes the token and the secret, which is not in the store. Without the salt nothing leads from a token to the votes, not
even with the secret: erasing deletes it.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from gateway.feedback.settings import StoreSettings
from gateway.serving.environment import InvalidSettings

FILE_NAME: Final = "secret"
MIN_SECRET_CHARACTERS: Final = 32


class Pseudonyms:
    """Hashes under the store's secret."""

    def __init__(self, secret: SecretStr) -> None:
        """Take the secret.

        Raises:
            ValueError: it is too short.
        """
        self._secret = secret.get_secret_value().encode()
        if len(self._secret) < MIN_SECRET_CHARACTERS:
            raise ValueError(f"the secret of the feedback store needs {MIN_SECRET_CHARACTERS} characters or more")

    def lookup(self, token: str) -> bytes:
        """Where a token's key is (32 bytes)."""
        return self._hash(b"lookup", token.encode())

    def pseudonym(self, token: str, salt: bytes) -> bytes:
        """What stands beside the votes of a token (32 bytes)."""
        return hmac.digest(self._hash(b"key", salt), token.encode(), hashlib.sha256)

    def erasure(self, request_id: str, token: str) -> bytes:
        """What a request to erase is remembered by (32 bytes)."""
        return self._hash(b"erasure", f"{request_id}\0{token}".encode())

    def check(self) -> bytes:
        """Tells whether a store was filled under this secret (32 bytes)."""
        return self._hash(b"check", b"")

    def _hash(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.digest(self._secret, purpose + b"\0" + content, hashlib.sha256)


def new_salt() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(32)


def read_secret(settings: StoreSettings) -> SecretStr:
    """The secret that the settings name; made now if there is none and the store is embedded.

    Raises:
        OSError: its file cannot be read or written.
        ValueError: it is not set, and the store is not embedded.
    """
    if settings.secret is not None:
        return settings.secret
    if settings.secret_file is not None:
        return SecretStr(settings.secret_file.read_text(encoding="utf-8").strip())
    if settings.database_url is not None or settings.database_url_file is not None:
        raise InvalidSettings(
            "set ORRERY_FEEDBACK_SECRET_FILE or ORRERY_FEEDBACK_SECRET: pods that share a store share it"
        )
    return SecretStr(_made_once(settings.folder / FILE_NAME))


def _made_once(path: Path) -> str:
    """What a file says; written whole before it has its name, so that two processes agree and none reads half."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    return path.read_text(encoding="utf-8").strip()
