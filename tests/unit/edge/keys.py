# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that sign JSON Web Tokens in tests."""

import json

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa


def new_key():
    """A private key of RS256."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwks_of(key):
    """The public key as a JSON Web Key Set."""
    entry = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {"keys": [entry | {"kid": "one", "alg": "RS256", "use": "sig"}]}


def token(key, **claims):
    """A token signed by a key."""
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})
