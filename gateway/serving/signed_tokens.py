# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON Web Tokens (RFC 7519), and the one door to PyJWT; loaded only where a key is set.

The algorithm comes from our settings and never from the token (RFC 8725, 3.1); subject, audience, issuer and expiry
must all be there.
"""

import json
from collections.abc import Mapping
from typing import Any

import jwt

from gateway.serving.errors import Unauthenticated
from gateway.serving.identity import Identity
from gateway.serving.reloading import Reloading
from gateway.serving.roles import Role
from gateway.serving.settings import ServingSettings

# Public keys by their id; one from a PEM file has none.
Keys = Mapping[str | None, Any]

# How far clocks may be apart.
_LEEWAY_S = 30.0
_REQUIRED = ["exp", "aud", "iss", "sub"]


class SignedTokens:
    """Verifies tokens with the public keys of a file: a PEM, or a JSON Web Key Set (RFC 7517)."""

    def __init__(self, settings: ServingSettings) -> None:
        """Read the keys.

        Raises:
            OSError: the key file cannot be read.
            ValueError: it holds no key for the algorithm, or audience or issuer is not set.
        """
        if settings.jwt_key_file is None or not settings.jwt_issuer or not settings.jwt_audience:
            named = " and ".join(settings.variable(field) for field in ("jwt_issuer", "jwt_audience"))
            raise ValueError(f"a key for signed tokens needs {named}, too")
        self._settings = settings
        algorithm = settings.jwt_algorithm
        self._keys = Reloading((settings.jwt_key_file,), lambda content: _read_keys(content, algorithm))

    def identity_of(self, token: str) -> Identity:
        """Who signed in with this token; roles that do not exist here are passed over.

        Raises:
            Unauthenticated: the token is not ours, not valid, or not valid any more.
        """
        settings = self._settings
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key_of(token),
                algorithms=[settings.jwt_algorithm],
                audience=settings.jwt_audience,
                issuer=settings.jwt_issuer,
                leeway=_LEEWAY_S,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("the token is not accepted") from error
        return Identity(claims["sub"], _roles(claims.get(settings.jwt_roles_claim)))

    def _key_of(self, token: str) -> Any:
        keys = self._keys.current()
        key_id = jwt.get_unverified_header(token).get("kid")
        key = keys.get(key_id)
        if key is None and len(keys) == 1 and (key_id is None or None in keys):
            key = next(iter(keys.values()))
        if key is None:
            raise jwt.InvalidKeyError
        return key


def _read_keys(content: bytes, algorithm: str) -> Keys:
    try:
        if content.lstrip().startswith(b"{"):
            keys = {
                key.key_id: key.key
                for key in jwt.PyJWKSet.from_dict(json.loads(content)).keys
                if _signs(key, algorithm)
            }
        else:
            keys = {None: jwt.get_algorithm_by_name(algorithm).prepare_key(content)}
    except jwt.PyJWTError as error:
        raise ValueError("no usable key") from error
    if not keys:
        raise ValueError(f"no key for {algorithm}")
    return keys


def _signs(key: jwt.PyJWK, algorithm: str) -> bool:
    return key.algorithm_name == algorithm and key.public_key_use in {None, "sig"}


def _roles(claim: object) -> frozenset[Role]:
    """A list of names, or names with spaces between."""
    names = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(role for role in Role if role in names)
