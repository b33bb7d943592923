# SPDX-License-Identifier: GPL-3.0-or-later
"""Predictions that many fronts share in Redis; loaded only where its address is set.

Behind each front's own cache (`gateway.front.cache`), which also knows what a selector means: only a version that was
named by the model server a moment ago is looked up here. Redis away, or a value that cannot be read, is a miss.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.serving.shared_store import SharedStore

# Writes that have not come back yet; more are dropped, for a cache may forget.
_MOST_WRITES: Final = 64
# How long a row is kept.
_KEPT_S: Final = 86_400


class SharedPredictions:
    """Rows under `orrery:prediction:<model>:<version>:<the numbers of the row>`."""

    def __init__(self, url: str, model: str) -> None:
        """Connect lazily.

        Args:
            url: "redis://host:6379/0", "rediss://…" for TLS.
            model: whose predictions they are.

        Raises:
            ValueError: the URL makes no sense.
        """
        self._store = SharedStore(url, "shared predictions")
        self._prefix = f"orrery:prediction:{model}:".encode()
        self._writes: set[asyncio.Task[None]] = set()

    async def find(self, version: int, keys: Sequence[bytes]) -> list[bytes] | None:
        """A version's predictions for some rows, if all of them are there."""
        found = await self._store.ask(lambda: self._store.redis.mget([self._key(version, key) for key in keys]))
        return None if found is None or None in found else found

    def store(self, version: int, keys: Sequence[bytes], predictions: Sequence[bytes]) -> None:
        """Keep what a version said; nobody waits for it."""
        if len(self._writes) >= _MOST_WRITES:
            return
        task = asyncio.create_task(self._write(version, keys, predictions))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Write what is left, and let go of connections."""
        if self._writes:
            await asyncio.wait(self._writes)
        await self._store.close()

    async def _write(self, version: int, keys: Sequence[bytes], predictions: Sequence[bytes]) -> None:
        pipeline = self._store.redis.pipeline(transaction=False)
        for key, prediction in zip(keys, predictions, strict=True):
            pipeline.set(self._key(version, key), prediction, ex=_KEPT_S)
        await self._store.ask(pipeline.execute)

    def _key(self, version: int, key: bytes) -> bytes:
        return b"%s%d:%s" % (self._prefix, version, key)
