# SPDX-License-Identifier: GPL-3.0-or-later
"""One gRPC call on the server. Its handler runs as a task; the call is the handler's context."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc

from gateway.grpc_h2.compression import framed
from gateway.grpc_h2.errors import Malformed, ReplyTooLarge
from gateway.grpc_h2.flow import MOST_UNREAD
from gateway.grpc_h2.link import CANCEL, STREAM_WINDOW
from gateway.grpc_h2.metadata import Metadata
from gateway.grpc_h2.server.handling import Handling
from gateway.grpc_h2.session_events import Headers
from gateway.grpc_h2.wire import PREFIX_BYTES, RESPONSE, Framed, MessageDecoder, prefix, status_headers

if TYPE_CHECKING:
    from gateway.grpc_h2.server.connection import Connection


class Call(Handling):
    """A call being served; to its handler it is the context."""

    def __init__(
        self,
        connection: Connection,
        stream_id: int,
        handler: grpc.RpcMethodHandler[Any, Any],
        metadata: Metadata,
        messages: MessageDecoder,
        timeout_s: float | None,
        accepted: bytes = b"",
    ) -> None:
        """Nothing runs yet.

        Args:
            connection: to whoever calls.
            stream_id: of the call on it.
            handler: what answers.
            metadata: what the call came with.
            messages: makes messages of its bytes.
            timeout_s: how long it may take.
            accepted: encodings that the caller takes, as it names them.
        """
        super().__init__(connection, handler, metadata, messages, accepted)
        self._stream_id = stream_id
        self._request: Framed | None = None
        self.began_s = monotonic()
        # Bytes of the request: those that are kept, those without credit; whether a large message waits for a turn, or
        # has it.
        self._held_bytes = self._uncredited = 0
        self._is_large = self._has_turn = False
        self.fed_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        if timeout_s is not None:
            self._deadline_s = monotonic() + timeout_s
            self._timer = connection.loop.call_later(timeout_s, self._run_out)

    # What the connection reports.

    def begin(self) -> None:
        """Start the handler of a stream; other handlers start when the request is complete."""
        if self._requests is not None:
            self._start(self._requests)

    def feed(self, data: bytes) -> int:
        """A part of the request's body; returns how many bytes more may come.

        Raises:
            Malformed: it is none.
        """
        if self._inbox is not None:
            more = self._inbox.put(data)
        else:
            self._messages.add(data)
            if self._request is None:
                self._request = self._messages.next_message()
            if self._request is not None and self._messages.in_the_middle:
                raise Malformed(grpc.StatusCode.INTERNAL, "a call of this method takes one message")
            self._uncredited += len(data)
            more = self._credit()
        self._weigh()
        return more

    @property
    def waits_for_request(self) -> bool:
        """Whether the one message of its request is incomplete."""
        return self._inbox is None and self._task is None and not self._finished

    def request_ended(self) -> None:
        """Nothing more comes.

        Raises:
            Malformed: something is missing.
        """
        if self._inbox is not None:
            self._inbox.close()
        elif self._messages.in_the_middle:
            raise Malformed(grpc.StatusCode.INTERNAL, "the request ends within a message")
        elif self._request is None:
            raise Malformed(grpc.StatusCode.INTERNAL, "a call of this method takes one message")
        else:
            self._connection.require_room()
            # Its handler has it now: until its answer is read, the call would keep it.
            request, self._request = self._request, None
            self._start(request)

    @property
    def kept_bytes(self) -> int:
        """Bytes of its request and of its answer that are kept."""
        return self._held_bytes + self._outbox.queued

    def large_granted(self) -> None:
        """The large message that has begun may be received."""
        self._has_turn = True
        if self._inbox is not None:
            self._inbox.release()
        else:
            self._consumed(self._credit())

    def large_stalled(self) -> None:
        """The large message that has begun does not go on, while others wait for their turn."""
        self.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "the request stood still while others waited")

    def body_sent(self, queued: int) -> None:
        """Part of the response was sent; `queued` bytes wait."""
        self._outbox.set(queued)

    def closed(self) -> None:
        """The stream is closed: the call has ended, or its caller has gone."""
        if not self._finished:
            self._end(well=False)
            self._cancel()
        if self._timer is not None:
            self._timer.cancel()

    def refuse(self, code: grpc.StatusCode, details: str) -> None:
        """End it from outside, whatever its handler does."""
        blocked = self._responded and self._outbox.queued > 0
        self._finish(code, details, [])
        if blocked:
            # The status would wait behind what its caller does not read.
            self._connection.reset(self._stream_id, CANCEL)
            self._connection.flush_soon()
        self._cancel()

    # What it sends.

    def _respond(self, initial: Headers) -> None:
        if not self._responded and not self._finished:
            headers = RESPONSE + initial if initial else RESPONSE
            if self._encoding is not None:
                headers = [*headers, (b"grpc-encoding", self._encoding)]
            self._connection.respond(self._stream_id, headers)
            self._responded = True

    async def _send(self, message: Any) -> None:
        if self._finished:
            return
        content = _content(message) if self._serialise is None else self._serialise(message)
        if len(content) > (limit := self._connection.server.max_message_bytes):
            details = f"a reply of {len(content)} bytes: at most {limit} may be sent"
            self._finish(grpc.StatusCode.RESOURCE_EXHAUSTED, details, [])
            raise ReplyTooLarge(details)
        self._respond([])
        plain, self._next_is_plain = self._next_is_plain, False
        if self._encoding is None or plain:
            head = prefix(content)
        else:
            head, content = await framed(content, self._encoding)
        self._outbox.set(self._connection.send(self._stream_id, head, content))
        self._connection.flush_soon()

    def _finish(self, code: grpc.StatusCode, details: str, trailing: Headers) -> None:
        """Send the status, once."""
        if self._finished:
            return
        headers = status_headers(code, details) + trailing
        if self._responded:
            self._connection.finish(self._stream_id, headers)
        else:
            self._connection.respond(self._stream_id, RESPONSE + headers, only=True)
        self._connection.flush_soon()
        self._end(well=code is grpc.StatusCode.OK)

    def _end(self, *, well: bool) -> None:
        self._finished = True
        if self._task is not None:
            # Its place is free, whether its caller reads the answer or not.
            self._connection.count_served(-1)
        self._messages.clear()
        self._request = None
        self._weigh()
        self._release_turn()
        self._connection.ended(well=well)
        self._outbox.close()
        if self._inbox is not None:
            self._inbox.close()
        if not self._callbacks:
            return
        if self._task is None or self._task.done():
            self._tell_callbacks()
        else:
            self._task.add_done_callback(self._tell_callbacks)

    def _weigh(self) -> None:
        """Count what is kept of the request; ask for a turn for a large message."""
        held_bytes = self._messages.buffered
        if held_bytes != self._held_bytes:
            change, self._held_bytes = held_bytes - self._held_bytes, held_bytes
            self._connection.count_kept(change)
        size = 0 if self._finished else self._messages.incomplete_size()
        self.fed_s = monotonic() if size else None
        if size > STREAM_WINDOW - PREFIX_BYTES and not self._is_large:
            self._is_large = True
            self._connection.server.large.want(self._connection, self, size)

    def _credit(self) -> int:
        """Bytes of a request of one message to give credit for."""
        if self._messages.buffered > MOST_UNREAD and not self._has_turn:
            return 0
        credit, self._uncredited = self._uncredited, 0
        return credit

    def _release_turn(self) -> None:
        if self._is_large:
            self._is_large = self._has_turn = False
            self._connection.server.large.release(self._connection, self)

    def next_wanted(self) -> None:
        """See `Handling`: the next message may have its turn."""
        self._release_turn()
        self._weigh()

    def _may_grow(self) -> bool:
        return self._has_turn

    def _run_out(self) -> None:
        if self._finished:
            # Answered, and not read: there is no time left to read it.
            self._connection.reset(self._stream_id, CANCEL)
            self._connection.flush_soon()
            return
        self.refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()

    def _consumed(self, size: int) -> None:
        self._connection.release_credit(self._stream_id, size)
        self._connection.flush_soon()


def _content(message: Any) -> bytes:
    """What a handler without a serialiser returned, as gRPC takes it: text and nothing are messages too."""
    if isinstance(message, bytes):
        return message
    if message is None:
        return b""
    return message.encode() if isinstance(message, str) else bytes(memoryview(message))
