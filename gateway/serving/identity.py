# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking: bearer tokens, signed tokens (JWT), and certificates.

Known callers stand in a list, one a line, `#` begins a comment:

    # subject   roles               credential
    nightly     reader              sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8
    planner     reader,simulator    certificate:planner.example.org

Of a token the list holds only the SHA-256: tokens are random (32 bytes or more), so nothing can be guessed from it.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.serving.context import Context
from gateway.serving.errors import Unauthenticated
from gateway.serving.roles import Role, roles_of

# A caller's identity by its token, or None if the token is none of ours.
TokenReader = Callable[[str], "Identity | None"]

_SCHEME = "bearer "
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LINE_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: its name in quotas and logs, and what it may do."""

    subject: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class KnownCallers:
    """The list of callers: by the digest of their token (32 bytes), and by the name in their certificate."""

    tokens: tuple[tuple[bytes, Identity], ...]
    certificates: dict[str, Identity]

    def by_token(self, token: str) -> Identity | None:
        """Compares with every digest in constant time, whichever matches."""
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known, identity in self.tokens:
            if hmac.compare_digest(known, digest):
                found = identity
        return found


def read_known_callers(content: bytes) -> KnownCallers:
    """The callers of a list (see this module); `;` may stand for a line's end.

    Raises:
        ValueError: a line is wrong; it is named by its number, never quoted.
    """
    tokens: list[tuple[bytes, Identity]] = []
    certificates: dict[str, Identity] = {}
    lines = content.decode().replace(";", "\n").splitlines()
    for number, line in enumerate(lines, 1):
        parts = line.partition("#")[0].split()
        if not parts:
            continue
        if len(parts) != _LINE_PARTS:
            raise ValueError(f"line {number}: not 'subject roles credential'")
        subject, roles, credential = parts
        try:
            identity = Identity(subject, roles_of(roles))
        except ValueError:
            raise ValueError(f"line {number}: roles are {', '.join(Role)}") from None
        kind, _, value = credential.partition(":")
        if kind == "sha256" and _DIGEST.fullmatch(value):
            tokens.append((bytes.fromhex(value), identity))
        elif kind == "certificate" and value:
            certificates[value] = identity
        else:
            raise ValueError(f"line {number}: the credential is neither sha256:<64 hex digits> nor certificate:<name>")
    return KnownCallers(tuple(tokens), certificates)


class Authenticator:
    """Tells from a call's metadata and its connection who is asking."""

    def __init__(self, known: Callable[[], KnownCallers], signed: TokenReader | None) -> None:
        """Remember whom to ask.

        Args:
            known: the list of callers as it is now.
            signed: reads JSON Web Tokens, if any are accepted.
        """
        self._known = known
        self._signed = signed

    def identity_of(self, context: Context) -> Identity:
        """The caller; its token decides if it sent one, else its certificate.

        Raises:
            Unauthenticated: there is neither, or it is not accepted.
        """
        known = self._known()
        header = _authorization(context)
        if header is None:
            return _by_certificate(context, known)
        if not header[: len(_SCHEME)].lower() == _SCHEME:
            raise Unauthenticated("the authorization metadata is not 'Bearer <token>'")
        token = header[len(_SCHEME) :].strip()
        identity = known.by_token(token)
        if identity is None and self._signed is not None:
            identity = self._signed(token)
        if identity is None:
            raise Unauthenticated("the token is not accepted")
        return identity


def _authorization(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else ""
    return None


def _by_certificate(context: Context, known: KnownCallers) -> Identity:
    """A verified certificate's names: its subject alternative names, else its common name."""
    for name in context.peer_identities() or ():
        if identity := known.certificates.get(name.decode(errors="replace")):
            return identity
    raise Unauthenticated("a bearer token is required")
