# SPDX-License-Identifier: GPL-3.0-or-later
"""Token buckets that many fronts share in Redis; loaded only where its address is set.

A bucket is read, filled and emptied by one script, which Redis runs alone, by Redis' own clock. While Redis is away
every call is admitted: a quota protects the service from a greedy caller, and must not take it down. The log and
`orrery_quota_unchecked_total` say so.
"""

from typing import Final

from gateway.serving import metrics
from gateway.serving.quotas import Quota
from gateway.serving.shared_store import SharedStore

# KEYS[1] bucket; ARGV objects_per_s, burst_objects, cost_objects. Returns the wait in s as text (Lua's numbers would
# be cut to integers). The key lives until its bucket is full again.
_TAKE: Final = """
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local bucket = redis.call('HMGET', KEYS[1], 'level', 'since')
local level = tonumber(bucket[1]) or burst
local since = tonumber(bucket[2]) or now
level = math.min(burst, level + math.max(0, now - since) * rate)
local missing = math.min(cost, burst) - level
if missing < 1e-6 then
  missing = 0
  level = level - cost
end
redis.call('HSET', KEYS[1], 'level', string.format('%.17g', level), 'since', string.format('%.17g', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - level) / rate * 1000) + 1000)
return string.format('%.17g', missing / rate)
"""


class RedisBuckets:
    """Buckets in Redis, under `orrery:quota:<caller>`."""

    def __init__(self, quota: Quota, url: str) -> None:
        """Connect lazily.

        Args:
            quota: of every caller.
            url: "redis://host:6379/0", "rediss://…" for TLS.

        Raises:
            ValueError: the URL makes no sense.
        """
        self._quota = quota
        self._store = SharedStore(url, "quotas")
        self._script = self._store.redis.register_script(_TAKE)

    async def take(self, caller: str, cost_objects: float) -> float:
        """See `gateway.serving.quotas.Buckets`; 0 while Redis is away."""
        arguments = (self._quota.objects_per_s, self._quota.burst_objects, cost_objects)
        wait_s = await self._store.ask(lambda: self._script(keys=(f"orrery:quota:{caller}",), args=arguments))
        if wait_s is None:
            metrics.QUOTA_UNCHECKED.inc()
            return 0.0
        return float(wait_s)

    async def close(self) -> None:
        """See `gateway.serving.quotas.Buckets`."""
        await self._store.close()
