# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of requests, written by the caller or taken from an iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from typing import Any, Final, TypeAlias

import grpc

from gateway.grpc_h2.client.attempt import Attempt
from gateway.grpc_h2.client.call import Call
from gateway.grpc_h2.client.ended import LOCALLY_CANCELLED, Ended
from gateway.grpc_h2.client.replies import ITERATING, MIXED, READING
from gateway.grpc_h2.compression import framed
from gateway.grpc_h2.errors import MessageTooLarge
from gateway.grpc_h2.wire import prefix

Requests: TypeAlias = AsyncIterable[Any] | Iterable[Any]

# Of a stream of requests, what is kept to be sent again; after more there is no other attempt.
_MOST_KEPT_BYTES: Final = 256 * 1024
# What the smallest message weighs besides its bytes.
_MESSAGE_OVERHEAD_BYTES: Final = 64


class RequestStream(Call):
    """A call whose method takes a stream of messages."""

    __slots__ = ()

    async def write(self, request: Any) -> None:
        """Send a request; waits while the server does not read.

        Raises:
            grpc.aio.UsageError: the call was given an iterator.
            asyncio.InvalidStateError: the call has ended, or `done_writing` was called.
            grpc.aio.AioRpcError: it ended meanwhile.
        """
        self._require_style()
        await self._write(request)

    async def done_writing(self) -> None:
        """End the requests. May be called again.

        Raises:
            grpc.aio.UsageError: the call was given an iterator.
        """
        self._require_style()
        self._finish_requests()

    async def wait_for_connection(self) -> None:
        """Wait until the call was sent.

        Raises:
            grpc.aio.AioRpcError: it has ended before, and not well.
        """
        while self._attempt is None and self._over is None:
            await self._event()
        if self._over is not None:
            self._raise_for_status(self._over)

    def _begin_requests(self, requests: Requests | None) -> None:
        self._contents_bytes = 0
        self._writing_style = READING if requests is None else ITERATING
        self._start()
        if requests is not None and self._over is None:
            self._writer = self._loop.create_task(self._take(requests))

    async def _take(self, requests: Requests) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await self._write(request)
            else:
                for request in requests:
                    await self._write(request)
        except Exception as error:  # noqa: BLE001  # whoever reads the replies gets it
            if self._over is None:
                self._broken = error
                self._end(LOCALLY_CANCELLED)
        else:
            self._finish_requests()

    async def _write(self, request: Any) -> None:
        if self._over is not None:
            raise asyncio.InvalidStateError("RPC already finished.")
        if self._whole:
            raise asyncio.InvalidStateError('RPC is half closed after calling "done_writing".')
        try:
            content = self._content(request)
        except MessageTooLarge as error:
            self._end(Ended(error.code(), error.details() or "", kind=MessageTooLarge))
            raise
        head = prefix(content)
        try:
            if self._encoding is not None:
                head, content = await framed(content, self._encoding)
            attempt = await self._current()
            self._keep(head, content)
            attempt.send(head, content)
            await attempt.room()
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _current(self) -> Attempt:
        """The attempt under way. Between two of them nothing is taken from the source: it could be too much."""
        while (attempt := self._attempt) is None or attempt.ended is not None:
            if self._over is not None:
                self._raise_for_status(self._over)
                raise asyncio.InvalidStateError("RPC already finished.")
            await self._event()
        return attempt

    def _finish_requests(self) -> None:
        if self._over is None and not self._whole:
            self._whole = True
            if self._attempt is not None:
                self._attempt.finish()

    def _keep(self, head: bytes, content: bytes) -> None:
        if self._contents is None:
            return
        self._contents_bytes += len(content) + _MESSAGE_OVERHEAD_BYTES
        if self._contents_bytes > _MOST_KEPT_BYTES:
            self._contents = None
        else:
            self._contents.append((head, content))

    def _require_style(self) -> None:
        if self._writing_style != READING:
            raise grpc.aio.UsageError(MIXED)
