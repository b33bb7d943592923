# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON Web Tokens: what is accepted, and everything that is not."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.front.settings import FrontSettings
from gateway.serving.errors import Unauthenticated
from gateway.serving.roles import Role
from gateway.serving.signed_tokens import SignedTokens
from tests.certificates import pem_of

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def claims(**changes):
    now_s = int(time.time())
    content = {"sub": "alice", "iss": "issuer.test", "aud": "orrery", "exp": now_s + 60, "roles": ["reader", "king"]}
    return {name: value for name, value in {**content, **changes}.items() if value is not None}


def token(key=RSA, algorithm="RS256", kid=None, **changes):
    return jwt.encode(claims(**changes), pem_of(key), algorithm=algorithm, headers={"kid": kid} if kid else None)


def verifier(path, content, algorithm="RS256"):
    path.write_bytes(content)
    return SignedTokens(
        FrontSettings(jwt_key_file=path, jwt_algorithm=algorithm, jwt_issuer="issuer.test", jwt_audience="orrery")
    )


@pytest.fixture
def tokens(tmp_path):
    return verifier(tmp_path / "key.pem", public_pem(RSA))


def test_a_good_token_names_its_bearer_and_known_roles(tokens):
    identity = tokens.identity_of(token())
    assert identity.subject == "alice"
    assert identity.roles == {Role.READER}
    assert tokens.identity_of(token(roles="reader simulator")).roles == {Role.READER, Role.SIMULATOR}
    assert tokens.identity_of(token(roles=None)).roles == frozenset()


def test_elliptic_curves_too(tmp_path):
    tokens = verifier(tmp_path / "key.pem", public_pem(EC), "ES256")
    assert tokens.identity_of(token(EC, "ES256")).subject == "alice"
    with pytest.raises(Unauthenticated):
        tokens.identity_of(token())


def test_clocks_may_differ_a_little(tokens):
    assert tokens.identity_of(token(exp=int(time.time()) - 5)).subject == "alice"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"aud": "other"},
        {"aud": None},
        {"iss": "other"},
        {"iss": None},
        {"sub": None},
        {"nbf": 4_000_000_000},
        {"key": OTHER_RSA},
    ],
)
def test_what_is_not_accepted(tokens, changes):
    with pytest.raises(Unauthenticated):
        tokens.identity_of(token(**changes))


def unsigned(header, signature=b""):
    parts = (json.dumps(header).encode(), json.dumps(claims()).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_the_token_does_not_choose_its_algorithm(tokens):
    """RFC 8725, 2.1: `none`, and the public key taken for a shared secret."""
    import hashlib
    import hmac

    with pytest.raises(Unauthenticated):
        tokens.identity_of(unsigned({"alg": "none"}))
    signed = unsigned({"alg": "HS256"}).rpartition(".")[0]
    mac = base64.urlsafe_b64encode(hmac.new(public_pem(RSA), signed.encode(), hashlib.sha256).digest())
    with pytest.raises(Unauthenticated):
        tokens.identity_of(f"{signed}.{mac.rstrip(b'=').decode()}")


@pytest.mark.parametrize("nonsense", ["", "a", "a.b.c", "..", "é" * 100])
def test_nonsense_is_no_token(tokens, nonsense):
    with pytest.raises(Unauthenticated):
        tokens.identity_of(nonsense)


def key_set(**keys):
    entries = []
    for kid, key in keys.items():
        entry = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        entries.append({**entry, "kid": kid, "alg": "RS256", "use": "sig"})
    return json.dumps({"keys": entries}).encode()


def test_keys_of_a_set_by_their_id_and_renewed(tmp_path):
    path = tmp_path / "keys.json"
    tokens = verifier(path, key_set(one=RSA))
    tokens._keys._look_period_s = 0
    assert tokens.identity_of(token(kid="one")).subject == "alice"
    with pytest.raises(Unauthenticated):
        tokens.identity_of(token(OTHER_RSA, kid="two"))
    path.write_bytes(key_set(one=RSA, two=OTHER_RSA))
    assert tokens.identity_of(token(OTHER_RSA, kid="two")).subject == "alice"
    with pytest.raises(Unauthenticated):
        tokens.identity_of(token(OTHER_RSA, kid="one"))
    path.write_bytes(key_set(two=OTHER_RSA))
    with pytest.raises(Unauthenticated):
        tokens.identity_of(token(kid="one"))


def test_a_set_without_a_key_for_the_algorithm_is_refused(tmp_path):
    with pytest.raises(ValueError, match="ES256"):
        verifier(tmp_path / "keys.json", key_set(one=RSA), "ES256")


def test_audience_and_issuer_are_required(tmp_path):
    (tmp_path / "key.pem").write_bytes(public_pem(RSA))
    with pytest.raises(ValueError, match="JWT_ISSUER"):
        SignedTokens(FrontSettings(jwt_key_file=tmp_path / "key.pem", jwt_audience="orrery"))
