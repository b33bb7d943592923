# SPDX-License-Identifier: GPL-3.0-or-later
"""A channel whose certificates may change while it is open: gRPC for Python reads them once a channel."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc

# Calls on a channel that was replaced may still take this long.
GRACE_S = 60.0


class RenewingChannel(grpc.aio.Channel):
    """Opens a new channel when its credentials are other ones, and lets calls on the old one end."""

    def __init__(
        self,
        credentials: Callable[[], grpc.ChannelCredentials],
        open_channel: Callable[[grpc.ChannelCredentials], grpc.aio.Channel],
    ) -> None:
        """Open the first one.

        Args:
            credentials: as they are now; the same object as long as they have not changed.
            open_channel: with some credentials.
        """
        self._credentials = credentials
        self._open_channel = open_channel
        self._used = credentials()
        self._channel = open_channel(self._used)
        self._closing: set[asyncio.Task[None]] = set()

    def current(self) -> grpc.aio.Channel:
        """The channel for calls made now."""
        credentials = self._credentials()
        if credentials is not self._used:
            task = asyncio.create_task(self._channel.close(GRACE_S))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._used = credentials
            self._channel = self._open_channel(credentials)
        return self._channel

    def _callable(self, kind: str, *arguments: Any, **options: Any) -> Any:
        """A multi-callable that is made anew on each channel."""
        made: tuple[grpc.aio.Channel | None, Any] = (None, None)

        def call(*request: Any, **how: Any) -> Any:
            nonlocal made
            channel = self.current()
            if made[0] is not channel:
                made = (channel, getattr(channel, kind)(*arguments, **options))
            return made[1](*request, **how)

        return call

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._callable("unary_unary", *arguments, **options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._callable("unary_stream", *arguments, **options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._callable("stream_unary", *arguments, **options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._callable("stream_stream", *arguments, **options)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """See `grpc.aio.Channel`."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See `grpc.aio.Channel`."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """See `grpc.aio.Channel`."""
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Close the channel in use, and those that are still ending."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._channel.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
