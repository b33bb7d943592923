# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking, as one pod tells another: a name to share work fairly by, and no proof of anything.

A front tells the pods behind it whose call it hands on. They believe it, because nobody else reaches them (network
policy, mTLS); whoever did could give itself another name for each call, and win a larger share of the workers.
"""

from contextvars import ContextVar
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from gateway.serving.context import Context
from gateway.serving.places import Sharer
from gateway.serving.quotas import network_of

CALLER_KEY: Final = "x-orrery-caller"
CONNECTION_KEY: Final = "x-orrery-connection"
_LONGEST: Final = 256

# Who makes the call being served; None before it is let in.
CALLER: ContextVar[str | None] = ContextVar("caller", default=None)


def unguarded(context: Context) -> str:
    """Who makes a call that no guard has let in: all that is known is the network address."""
    return f"network:{network_of(context.peer())}"


def caller_here(context: Context) -> str:
    """Of a call that came to us directly: who signed in, or else the network address; fit for metadata."""
    return _quoted(CALLER.get() or unguarded(context))


def sharer_of(context: Context) -> Sharer:
    """Whose share of the places a call takes: its caller's address and connection, as a front passes them on.

    Returns:
        Of a direct call, its peer's address and gRPC's name for the peer.
    """
    caller = connection = None
    for key, value in context.invocation_metadata() or ():
        if key == CALLER_KEY:
            caller = value
        elif key == CONNECTION_KEY:
            connection = value
    if isinstance(caller, str) and isinstance(connection, str):
        return caller[:_LONGEST], connection[:_LONGEST]
    return _direct(context.peer())


@lru_cache(maxsize=4096)
def _direct(peer: str) -> Sharer:
    return f"network:{network_of(peer)}", peer


@lru_cache(maxsize=4096)
def _quoted(caller: str) -> str:
    return quote(caller, safe=":/")[:_LONGEST]


def caller_behind(context: Context) -> str:
    """Of a call that a front may have handed on."""
    for key, value in context.invocation_metadata() or ():
        if key == CALLER_KEY and isinstance(value, str) and value:
            return value[:_LONGEST]
    return caller_here(context)
