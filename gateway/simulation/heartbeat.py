# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life between the messages of work that may be silent for long, or waits for its turn."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def with_heartbeat(messages: AsyncGenerator[T, None], every_s: float) -> AsyncGenerator[T | None, None]:
    """Messages as they come, and None whenever none came for some time.

    Leaving the iterator early closes the messages' own.

    Args:
        messages: of something that other tasks or processes work on; never None.
        every_s: the longest silence.

    Raises:
        whatever the messages' iterator does.
    """
    following = None
    try:
        while True:
            following = asyncio.ensure_future(anext(messages))
            while not (await asyncio.wait({following}, timeout=every_s))[0]:
                yield None
            try:
                message = following.result()
            except StopAsyncIteration:
                return
            yield message
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await messages.aclose()
