# SPDX-License-Identifier: GPL-3.0-or-later
"""What many pods share, and the one door to Redis; loaded only where its address is set.

Redis is a help and never a condition: a question waits for it 50 ms, and after a failure nobody asks for a second.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

TIMEOUT_S: Final = 0.05
REST_S: Final = 1.0

log = structlog.get_logger()


class SharedStore:
    """A Redis that may be away."""

    def __init__(self, url: str, purpose: str) -> None:
        """Connect lazily.

        Args:
            url: "redis://host:6379/0", "rediss://…" for TLS.
            purpose: what is left undone while it is away, for the log.

        Raises:
            ValueError: the URL makes no sense.
        """
        self.redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._purpose = purpose
        self._rests_until_s = 0.0

    async def ask(self, question: Callable[[], Awaitable[Any]]) -> Any | None:
        """The answer to a question put through `redis`; None while Redis is away."""
        if time.monotonic() < self._rests_until_s:
            return None
        try:
            return await question()
        except (RedisError, OSError) as error:
            self._rests_until_s = time.monotonic() + REST_S
            log.warning("Redis is away", without=self._purpose, error=type(error).__name__)
            return None

    async def close(self) -> None:
        """Let go of connections."""
        await self.redis.aclose()
