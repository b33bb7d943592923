# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt at a call, on one connection."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import grpc

from gateway.grpc_h2.client.ended import LOST, LOST_UNSEEN, Ended, by_http, by_malformed, by_reset, by_trailers
from gateway.grpc_h2.errors import Malformed
from gateway.grpc_h2.flow import Inbox, Outbox
from gateway.grpc_h2.link import CANCEL
from gateway.grpc_h2.session_events import Headers
from gateway.grpc_h2.wire import CONTENT_TYPE, Framed, MessageDecoder

if TYPE_CHECKING:
    from gateway.grpc_h2.client.call import Call
    from gateway.grpc_h2.client.connection import Connection


class NoStreamLeft(Exception):
    """A connection has used up its streams; another one is needed."""


class Attempt:
    """A stream of HTTP/2, from its headers to its end.

    Attributes:
        replies: of a stream of replies, as they come.
        reply: the only one, where there is one.
        decoder: of the replies; None until there are headers.
        initial: headers before the first reply; None until they have come.
        ended: how it ended; None as long as it has not.
    """

    __slots__ = (
        "_call",
        "_connection",
        "_max_bytes",
        "_only",
        "_outbox",
        "_stream_id",
        "decoder",
        "ended",
        "initial",
        "replies",
        "reply",
    )

    def __init__(
        self, connection: Connection, call: Call, headers: Headers, max_message_bytes: int, *, one_reply: bool
    ) -> None:
        """Send the headers.

        Args:
            connection: to send them on.
            call: gets the headers and the end. Its caller may forget it meanwhile.
            headers: of the request.
            max_message_bytes: of a reply.
            one_reply: whether there may be one only.

        Raises:
            NoStreamLeft: not on this connection.
        """
        self._connection = connection
        self._call = weakref.ref(call)
        self._max_bytes = max_message_bytes
        # The trailers of a response that consists of nothing else.
        self._only: Headers | None = None
        self._outbox = Outbox()
        self.replies = None if one_reply else Inbox(self._consumed)
        self.reply: Framed | None = None
        self.decoder: MessageDecoder | None = None
        self.initial: Headers | None = None
        self.ended: Ended | None = None
        self._stream_id = connection.begin(self, headers)

    # What its call does.

    def send(self, head: bytes, content: bytes) -> None:
        """Send a message of the request, given as its prefix and its content."""
        if self.ended is None:
            self._outbox.set(self._connection.send(self._stream_id, head, content))
            self._connection.flush_soon()

    async def room(self) -> None:
        """Wait while the server does not read."""
        await self._outbox.room()

    def finish(self) -> None:
        """End the request."""
        self._connection.finish(self._stream_id, [])
        self._connection.flush_soon()

    def end(self, ended: Ended) -> None:
        """Reset the stream, unless it has ended."""
        if self.ended is None:
            self._end(ended)
            self._connection.reset(self._stream_id, CANCEL)
            self._connection.flush_soon()

    async def next_reply(self) -> Framed | None:
        """The next message of a stream, still compressed; None after the last.

        Raises:
            Malformed: it is too large, or incomplete at the end.
        """
        if self.replies is None:
            raise AssertionError("this call has one reply")
        return await anext(self.replies, None)

    def cancel_call(self) -> None:
        """Cancel the call that this belongs to."""
        if (call := self._call()) is not None:
            call.cancel()

    # What its connection reports.

    def headers_received(self, headers: Headers) -> None:
        """Headers of the response, or its trailers."""
        if self.ended is not None:
            return
        if self.initial is not None:
            self._end(by_trailers(headers, self.initial))
            return
        fields = dict(headers)
        status = fields.get(b":status", b"")
        if status.startswith(b"1"):
            return
        if b"grpc-status" in fields:
            self._only = headers
        elif status != b"200" or not CONTENT_TYPE.match(fields.get(b"content-type", b"")):
            self.end(by_http(headers))
        else:
            self._begin_reply(headers, fields.get(b"grpc-encoding"))

    def body_received(self, data: bytes) -> int:
        """Part of the response's body; returns how many bytes more may come."""
        if self.ended is not None:
            return len(data)
        if self.decoder is None:
            self.end(Ended(grpc.StatusCode.INTERNAL, "an answer without headers"))
            return len(data)
        try:
            if self.replies is not None:
                return self.replies.put(data)
            self.decoder.add(data)
            if self.reply is None:
                self.reply = self.decoder.next_message()
            if self.reply is not None and self.decoder.in_the_middle:
                self.end(Ended(grpc.StatusCode.INTERNAL, "several answers to a call that has one"))
        except Malformed as error:
            self.end(by_malformed(error))
        return len(data)

    def body_sent(self, queued: int) -> None:
        """Part of the request was sent; `queued` bytes wait."""
        self._outbox.set(queued)

    def peer_ended(self) -> None:
        """Nothing more comes; its status should have."""
        self._end(by_trailers(self._only or [], self.initial or []))

    def closed(self, code: int) -> None:
        """The stream is closed."""
        self._end(by_reset(code))

    def lost(self, *, unseen: bool) -> None:
        """The connection is closed; `unseen` where nothing of this was written."""
        self._end(LOST_UNSEEN if unseen else LOST)

    def _begin_reply(self, headers: Headers, encoding: bytes | None) -> None:
        try:
            self.decoder = MessageDecoder(encoding, self._max_bytes)
        except Malformed as error:
            self.end(Ended(grpc.StatusCode.INTERNAL, error.details))
            return
        self.initial = headers
        if self.replies is not None:
            self.replies.decoder = self.decoder
        if (call := self._call()) is not None:
            call.answered()

    def _end(self, ended: Ended) -> None:
        if self.ended is not None:
            return
        self.ended = ended
        self._outbox.close()
        if self.replies is not None:
            self.replies.close()
        if (call := self._call()) is not None:
            call.attempt_ended(self, ended)

    def _consumed(self, size: int) -> None:
        self._connection.release_credit(self._stream_id, size)
        self._connection.flush_soon()
