# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt at a call, on one connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from gateway.grpc_h2.client.ended import CANCELLED, LOST, Ended, by_http, by_reset, by_trailers
from gateway.grpc_h2.flow import Inbox, Outbox, wake
from gateway.grpc_h2.link import CANCEL
from gateway.grpc_h2.session_events import Headers
from gateway.grpc_h2.wire import CONTENT_TYPE, Framed, Malformed, MessageDecoder, prefix

if TYPE_CHECKING:
    from gateway.grpc_h2.client.connection import Connection


class NoStreamLeft(Exception):
    """A connection has used up its streams; another one is needed."""


class Attempt:
    """A stream of HTTP/2, from its headers to its end.

    Attributes:
        answers: messages as they come.
        ended: how it ended; None as long as it has not.
    """

    __slots__ = (
        "_connection",
        "_initial",
        "_max_bytes",
        "_only",
        "_outbox",
        "_stream_id",
        "_waiter",
        "answers",
        "ended",
    )

    def __init__(self, connection: Connection, headers: Headers, max_message_bytes: int) -> None:
        """Send the headers.

        Raises:
            NoStreamLeft: not on this connection.
        """
        self._connection = connection
        self._max_bytes = max_message_bytes
        self._initial: Headers | None = None
        # What the server said where it said nothing but its status.
        self._only: Headers | None = None
        self._outbox = Outbox()
        self.answers = Inbox(self._consumed)
        self.ended: Ended | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._stream_id = connection.begin(self, headers)

    @property
    def is_answered(self) -> bool:
        """Whether the server has begun to answer; from then on there is no other attempt."""
        return self._initial is not None

    async def end_of_it(self) -> Ended:
        """Wait until it has ended."""
        while self.ended is None:
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        return self.ended

    # What its call says.

    def send(self, content: bytes) -> None:
        """A message of the request."""
        if self.ended is None:
            self._outbox.set(self._connection.send(self._stream_id, prefix(content), content))
            self._connection.flush_soon()

    async def room(self) -> None:
        """Wait while the server does not read."""
        await self._outbox.room()

    def finish(self) -> None:
        """The request is whole."""
        self._connection.finish(self._stream_id, [])
        self._connection.flush_soon()

    def end(self, ended: Ended = CANCELLED) -> None:
        """Reset the stream, unless it has ended."""
        if self.ended is None:
            self._end(ended)
            self._connection.reset(self._stream_id, CANCEL)
            self._connection.flush_soon()

    async def next_answer(self) -> Framed | None:
        """The next message, still compressed; None after the last.

        Raises:
            grpc.aio.AioRpcError: it is too large, or incomplete at the end.
        """
        try:
            return await anext(self.answers, None)
        except Malformed as error:
            raise Ended(error.code, error.details).error() from error

    def plain(self, framed: Framed) -> bytes:
        """A message, decompressed.

        Raises:
            grpc.aio.AioRpcError: it cannot be.
        """
        if self.answers.decoder is None:
            raise AssertionError("messages come after headers")
        try:
            return self.answers.decoder.plain(framed)
        except Malformed as error:
            raise Ended(error.code, error.details).error() from error

    # What its connection tells.

    def headers_received(self, headers: Headers) -> None:
        """What an answer begins with, or what it ends with."""
        if self.ended is not None:
            return
        if self._initial is not None:
            self._end(by_trailers(headers, self._initial))
            return
        said = dict(headers)
        status = said.get(b":status", b"")
        if status.startswith(b"1"):
            return
        if b"grpc-status" in said:
            self._only = headers
        elif status != b"200" or not CONTENT_TYPE.match(said.get(b"content-type", b"")):
            self.end(by_http(headers))
        else:
            self._initial = headers
            try:
                self.answers.decoder = MessageDecoder(said.get(b"grpc-encoding"), self._max_bytes)
            except Malformed as error:
                self.end(Ended(grpc.StatusCode.INTERNAL, error.details))

    def body_received(self, data: bytes) -> int:
        """A part of an answer; returns how many bytes more may come."""
        if self.ended is not None:
            return len(data)
        if self.answers.decoder is None:
            self.end(Ended(grpc.StatusCode.INTERNAL, "an answer without headers"))
            return len(data)
        try:
            return self.answers.put(data)
        except Malformed as error:
            self.end(Ended(error.code, error.details))
            return len(data)

    def body_sent(self, queued: int) -> None:
        """A part of the request is on its way; so much is not."""
        self._outbox.set(queued)

    def peer_ended(self) -> None:
        """Nothing more comes; its status should have."""
        self._end(by_trailers(self._only or [], self._initial or []))

    def closed(self, code: int) -> None:
        """The stream is closed."""
        self._end(by_reset(code))

    def lost(self) -> None:
        """The connection is closed."""
        self._end(LOST)

    def _end(self, ended: Ended) -> None:
        if self.ended is not None:
            return
        self.ended = ended
        wake(self._waiter)
        self._outbox.close()
        self.answers.close()

    def _consumed(self, size: int) -> None:
        self._connection.release_credit(self._stream_id, size)
        self._connection.flush_soon()
