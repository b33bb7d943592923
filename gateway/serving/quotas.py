# SPDX-License-Identifier: GPL-3.0-or-later
"""A share for each caller: token buckets, in this process or (many fronts) in Redis.

A bucket fills at a rate up to its burst. A call is admitted when the bucket holds its cost, or is full if the cost is
more than it can ever hold; the whole cost is then taken, so that one huge call is paid for by waiting after it.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import unquote

from pydantic import Field, SecretStr

from gateway.serving.environment import Settings

# What an object takes on the wire: nine doubles, as a row of columns or as a message of its own. Requests that are
# forwarded unread are reckoned by this too.
BYTES_PER_OBJECT: Final = 72
# A bucket filled over time may lack this much for the arithmetic's sake.
ROUNDING_OBJECTS: Final = 1e-6


class QuotaSettings(Settings):
    """What one caller may ask for; set on the front, because pods behind it know one caller, the front."""

    quota_objects_per_s: float | None = Field(
        default=None,
        gt=0,
        description="What one caller may ask for over time. Unset: no quota.",
        json_schema_extra={"unit": "objects/s"},
    )
    quota_burst_objects: float = Field(
        default=1_000.0,
        ge=1,
        description="What one caller may ask for at once.",
        json_schema_extra={"unit": "objects"},
    )
    quota_simulation_objects: float = Field(
        default=100.0,
        ge=1,
        description="What a simulation counts for.",
        json_schema_extra={"unit": "objects"},
    )
    quota_redis_url: SecretStr | None = Field(
        default=None,
        description="A Redis with the quotas that all fronts share, `redis://host:6379/0`. Unset: each front has its"
        " own.",
        json_schema_extra={"unit": "URL"},
    )


@dataclass(frozen=True, slots=True)
class Quota:
    """What one caller may ask for."""

    objects_per_s: float
    burst_objects: float


class Buckets(Protocol):
    """Where the buckets are."""

    async def take(self, caller: str, cost_objects: float) -> float:
        """Take what a call costs.

        Returns:
            0 if the call is admitted, else in how many seconds it would be.
        """

    async def close(self) -> None:
        """Let go of connections."""


class LocalBuckets:
    """Buckets in this process, those of the most recent callers."""

    def __init__(self, quota: Quota, max_callers: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Begin with every bucket full.

        Args:
            quota: of every caller.
            max_callers: remembered at once; the one not seen for longest is forgotten, and begins anew.
            clock_s: a clock that never goes back.
        """
        self._quota = quota
        self._max_callers = max_callers
        self._clock_s = clock_s
        # caller: (objects in the bucket, when that was true in s)
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, caller: str, cost_objects: float) -> float:
        """See `Buckets`."""
        quota = self._quota
        now_s = self._clock_s()
        level, since_s = self._levels.pop(caller, (quota.burst_objects, now_s))
        level = min(quota.burst_objects, level + (now_s - since_s) * quota.objects_per_s)
        missing = min(cost_objects, quota.burst_objects) - level
        if missing < ROUNDING_OBJECTS:
            missing = 0.0
        self._levels[caller] = (level if missing > 0 else level - cost_objects, now_s)
        if len(self._levels) > self._max_callers:
            self._levels.popitem(last=False)
        return missing / quota.objects_per_s

    async def close(self) -> None:
        """See `Buckets`."""

    def __len__(self) -> int:
        """Callers remembered."""
        return len(self._levels)


def cost_of(size_bytes: int) -> float:
    """Objects in a request of this size, at least one."""
    return max(1.0, size_bytes / BYTES_PER_OBJECT)


@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """The caller's address without its port, of gRPC's name for a peer.

    An IPv6 caller owns a whole /64 (RFC 6177), which counts as one caller.

    Args:
        peer: "ipv4:192.0.2.1:4711", "ipv6:%5B2001:db8::1%5D:4711", "unix:".
    """
    kind, _, rest = unquote(peer).partition(":")
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return kind
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
