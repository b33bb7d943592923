# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before every call where settings ask for it: who is asking, may they, and is it within their share."""

import asyncio
import importlib
from collections.abc import Callable
from typing import Final

from gateway.serving import metrics
from gateway.serving.context import Context
from gateway.serving.errors import PermissionDenied, QuotaExceeded
from gateway.serving.identity import Authenticator, Identity, KnownCallers, TokenReader, read_known_callers
from gateway.serving.quotas import Buckets, LocalBuckets, Quota, QuotaSettings, cost_of, network_of
from gateway.serving.reloading import Reloading
from gateway.serving.roles import METHOD_ROLES, OPEN_TO_ALL, REFLECTION, Role
from gateway.serving.settings import ServingSettings

# Remembered in this process (about 250 bytes each).
_MOST_CALLERS: Final = 10_000


class Guard:
    """Lets calls in, or raises why not."""

    def __init__(
        self,
        authenticator: Authenticator | None,
        buckets: Buckets | None,
        *,
        simulation_objects: float,
        reflection_open: bool,
    ) -> None:
        """Put the checks together; each may be absent.

        Args:
            authenticator: tells who is asking.
            buckets: hold each caller's share.
            simulation_objects: what a simulation costs, in objects.
            reflection_open: whether everyone may ask for the contract.
        """
        self._authenticator = authenticator
        self._buckets = buckets
        self._simulation_objects = simulation_objects
        self._open = OPEN_TO_ALL | {REFLECTION} if reflection_open else OPEN_TO_ALL

    def stands_before(self, method: str) -> bool:
        """Whether this method is guarded at all."""
        return method not in self._open

    @property
    def paces(self) -> bool:
        """Whether callers have quotas."""
        return self._buckets is not None

    async def admit(self, method: str, context: Context, size_bytes: int) -> str:
        """Let one call in.

        Args:
            method: its full name, "/package.Service/Method".
            context: the call.
            size_bytes: of its request; 0 for a stream, whose messages are charged as they come.

        Returns:
            The caller's name for `charge`.

        Raises:
            Unauthenticated: nothing acceptable says who is asking.
            PermissionDenied: the caller lacks the method's role.
            QuotaExceeded: the caller's share is used up.
        """
        identity = None if self._authenticator is None else self._authenticator.identity_of(context)
        if identity is not None:
            _require_role(method, identity)
        caller = _caller(context, identity)
        if self._buckets is not None:
            cost_objects = cost_of(size_bytes)
            if METHOD_ROLES.get(method) is Role.SIMULATOR:
                cost_objects = max(cost_objects, self._simulation_objects)
            if retry_after_s := await self._buckets.take(caller, cost_objects):
                metrics.QUOTA_REFUSED.inc()
                raise QuotaExceeded(retry_after_s)
        return caller

    async def pace(self, caller: str, size_bytes: int) -> None:
        """Wait until a message of a stream is within the caller's share: flow control then slows the caller down."""
        if self._buckets is None:
            return
        while wait_s := await self._buckets.take(caller, cost_of(size_bytes)):  # noqa: ASYNC110  # a bucket tells how long to wait, there is no event
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """Let go of connections."""
        if self._buckets is not None:
            await self._buckets.close()


def build_guard(settings: ServingSettings) -> Guard | None:
    """The guard that the settings ask for; None where they ask for none.

    Raises:
        CannotStart: a setting, or a file with secrets or keys, makes no sense.
    """
    authenticator = _authenticator(settings)
    buckets = _buckets(settings)
    if authenticator is None and buckets is None:
        return None
    return Guard(
        authenticator,
        buckets,
        simulation_objects=settings.quota_simulation_objects if isinstance(settings, QuotaSettings) else 0.0,
        reflection_open=authenticator is None or settings.reflection_open,
    )


def _authenticator(settings: ServingSettings) -> Authenticator | None:
    if not settings.authenticates:
        return None
    signed: TokenReader | None = None
    if settings.jwt_key_file is not None:
        module = importlib.import_module("gateway.serving.signed_tokens")
        with settings.naming("jwt_key_file"):
            signed = module.SignedTokens(settings).identity_of
    with settings.naming("callers_file" if settings.callers_file else "callers"):
        return Authenticator(_known_callers(settings), signed)


def _known_callers(settings: ServingSettings) -> Callable[[], KnownCallers]:
    fixed = b"" if settings.callers is None else settings.callers.get_secret_value().encode() + b"\n"
    if settings.callers_file is not None:
        return Reloading((settings.callers_file,), lambda content: read_known_callers(fixed + content)).current
    known = read_known_callers(fixed)
    return lambda: known


def _buckets(settings: ServingSettings) -> Buckets | None:
    if not isinstance(settings, QuotaSettings) or settings.quota_objects_per_s is None:
        return None
    quota = Quota(settings.quota_objects_per_s, settings.quota_burst_objects)
    if settings.quota_redis_url is None:
        return LocalBuckets(quota, _MOST_CALLERS)
    module = importlib.import_module("gateway.serving.redis_quotas")
    with settings.naming("quota_redis_url"):
        buckets: Buckets = module.RedisBuckets(quota, settings.quota_redis_url.get_secret_value())
    return buckets


def _require_role(method: str, identity: Identity) -> None:
    role = METHOD_ROLES.get(method)
    if role is None or role not in identity.roles:
        raise PermissionDenied(role)


def _caller(context: Context, identity: Identity | None) -> str:
    """Whose share a call counts against: who signed in, else the certificate's name, else the network address."""
    if identity is not None:
        return f"subject:{identity.subject}"
    for name in context.peer_identities() or ():
        return f"certificate:{name.decode(errors='replace')}"
    return f"network:{network_of(context.peer())}"
