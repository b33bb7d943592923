# SPDX-License-Identifier: GPL-3.0-or-later
"""One gRPC call on the server. Its handler runs as a task; the call is the handler's context."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc

from gateway.grpc_h2.flow import Inbox, Outbox
from gateway.grpc_h2.link import CANCEL
from gateway.grpc_h2.wire import (
    RESPONSE,
    Framed,
    Malformed,
    MessageDecoder,
    Metadata,
    header_of,
    prefix,
    trailers,
)

if TYPE_CHECKING:
    from gateway.grpc_h2.server.connection import Connection

_KINDS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}

log = logging.getLogger(__name__)


class Aborted(Exception):
    """A handler has ended its call by `abort`."""


class Call:
    """A call being served; to its handler it is the context."""

    def __init__(
        self,
        connection: Connection,
        stream_id: int,
        handler: grpc.RpcMethodHandler[Any, Any],
        metadata: Metadata,
        messages: MessageDecoder,
        timeout_s: float | None,
    ) -> None:
        """Nothing runs yet.

        Args:
            connection: to whoever calls.
            stream_id: of the call on it.
            handler: what answers.
            metadata: what the call came with.
            messages: makes messages of its bytes.
            timeout_s: how long it may take.
        """
        self._connection = connection
        self._stream_id = stream_id
        self._handler = handler
        self._answer: Any = getattr(handler, _KINDS[handler.request_streaming, handler.response_streaming])
        self._metadata = metadata
        self._messages = messages
        self._parse = handler.request_deserializer
        self._serialise = handler.response_serializer
        self._task: asyncio.Task[None] | None = None
        self._request: Framed | None = None
        self._inbox = Inbox(self._consumed, messages) if handler.request_streaming else None
        self._outbox = Outbox()
        self._requests = None if self._inbox is None else _Requests(self, self._inbox)
        self._initial: Sequence[tuple[str, str | bytes]] = ()
        self._trailing: Sequence[tuple[str, str | bytes]] = ()
        self._code, self._details = grpc.StatusCode.OK, ""
        self._responded = self._finished = False
        self._callbacks: list[Callable[[Any], None]] = []
        self.began_s = monotonic()
        self._deadline_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        if timeout_s is not None:
            self._deadline_s = monotonic() + timeout_s
            self._timer = connection.loop.call_later(timeout_s, self._run_out)

    # What the connection tells.

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
            return self._inbox.put(data)
        self._messages.add(data)
        if self._request is None:
            self._request = self._messages.next_message()
        if self._request is not None and self._messages.in_the_middle:
            raise Malformed(grpc.StatusCode.INTERNAL, "a call of this method takes one message")
        return len(data)

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
            self._start(self._request)

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
        blocked = self._responded and not self._outbox.is_empty
        self._finish(code, details, ())
        if blocked:
            # The status would wait behind what its caller does not read.
            self._connection.reset(self._stream_id, CANCEL)
            self._connection.flush_soon()
        self._cancel()

    # What a handler finds: grpc.aio.ServicerContext.

    def invocation_metadata(self) -> Metadata:
        """What the call came with."""
        return self._metadata

    def peer(self) -> str:
        """The caller's address, as gRPC writes it: "ipv4:127.0.0.1:50000"."""
        return self._connection.peer

    def peer_identities(self) -> list[bytes] | None:
        """The names in the caller's certificate; None without one."""
        return self._connection.peer_identities

    def peer_identity_key(self) -> str | None:
        """Which names those are."""
        return self._connection.peer_identity_key

    def time_remaining(self) -> float | None:
        """Seconds to the deadline; None without one."""
        return None if self._deadline_s is None else max(0.0, self._deadline_s - monotonic())

    def set_trailing_metadata(self, trailing_metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """What goes with the status."""
        self._trailing = trailing_metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status of a handler that returns."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Its sentence."""
        self._details = details

    def cancelled(self) -> bool:
        """Whether the caller has gone, or the deadline has passed."""
        return self._finished and self._task is not None and not self._task.done()

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._finished

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Have a function called with this context when the call ends."""
        self._callbacks.append(callback)

    async def send_initial_metadata(self, initial_metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """What goes before the first message; at once."""
        self._initial = initial_metadata
        self._respond()
        self._connection.flush_soon()

    async def read(self) -> Any:
        """The next message of a stream, or `grpc.aio.EOF`."""
        if self._requests is None:
            raise grpc.aio.UsageError("this method takes one message")
        return await anext(self._requests, grpc.aio.EOF)

    async def write(self, message: Any) -> None:
        """Send a message of a stream; waits while the caller does not read."""
        self._send(message)
        await self._outbox.room()

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Sequence[tuple[str, str | bytes]] = ()
    ) -> NoReturn:
        """End the call with an error; does not return."""
        self._finish(code, details, trailing_metadata or self._trailing)
        raise Aborted

    # How it goes.

    def _start(self, request: Any) -> None:
        self._connection.count_served(1)
        self._task = self._connection.loop.create_task(self._serve(request))
        self._connection.server.keep(self._task)

    async def _serve(self, request: Any) -> None:
        try:
            if self._requests is None:
                request = await self._parsed(request)
            answered = self._answer(request, self)
            if not self._handler.response_streaming:
                self._send(await answered)
            elif isinstance(answered, AsyncIterator):
                async for reply in answered:
                    await self.write(reply)
            else:
                await answered
        except Aborted:
            pass
        except Malformed as error:
            self._finish(error.code, error.details, ())
        except asyncio.CancelledError:
            self._finish(grpc.StatusCode.CANCELLED, "cancelled", ())
        except Exception:
            # Our own methods have said it in their words by now (`observed_call`); this is for others'.
            log.exception("a handler failed")
            self._finish(grpc.StatusCode.UNKNOWN, "the handler failed", ())
        else:
            self._finish(self._code, self._details, self._trailing)

    def _respond(self) -> None:
        if not self._responded and not self._finished:
            initial = [header_of(key, value) for key, value in self._initial]
            self._connection.respond(self._stream_id, RESPONSE + initial if initial else RESPONSE)
            self._responded = True

    def _send(self, message: Any) -> None:
        if self._finished:
            return
        content: bytes = message if self._serialise is None else self._serialise(message)
        if len(content) > self._connection.server.max_message_bytes:
            self.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, f"a reply of {len(content)} bytes is more than may be sent")
            return
        self._respond()
        self._outbox.set(self._connection.send(self._stream_id, prefix(content), content))
        self._connection.flush_soon()

    def _finish(self, code: grpc.StatusCode, details: str, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Tell how it ended, once."""
        if self._finished:
            return
        try:
            said = trailers(code, details, metadata)
        except (ValueError, AttributeError, TypeError):
            log.exception("a handler's status or metadata cannot be sent")
            code = grpc.StatusCode.UNKNOWN
            said = trailers(code, "the handler failed", ())
        if self._responded:
            self._connection.finish(self._stream_id, said)
        else:
            self._connection.respond(self._stream_id, RESPONSE + said, only=True)
        self._connection.flush_soon()
        self._end(well=code is grpc.StatusCode.OK)

    def _end(self, *, well: bool) -> None:
        self._finished = True
        if self._task is not None:
            # Its place is free, whether its caller reads the answer or not.
            self._connection.count_served(-1)
        self._connection.ended(well=well)
        self._outbox.close()
        if self._inbox is not None:
            self._inbox.close()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("what a handler wanted done at the end failed")

    def _run_out(self) -> None:
        if self._finished:
            # Answered, and not read: there is no time left to read it.
            self._connection.reset(self._stream_id, CANCEL)
            self._connection.flush_soon()
            return
        self.refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()

    def _consumed(self, size: int) -> None:
        self._connection.release_credit(self._stream_id, size)
        self._connection.flush_soon()

    async def _parsed(self, framed: Framed) -> Any:
        compressed, message = framed
        if compressed:
            message = await self._connection.inflation.plain(self, self._messages, framed)
        return message if self._parse is None else self._parse(message)


class _Requests(AsyncIterator[Any]):
    """The messages of a stream, for its handler."""

    def __init__(self, call: Call, inbox: Inbox) -> None:
        self._call = call
        self._inbox = inbox

    async def __anext__(self) -> Any:
        try:
            return await self._call._parsed(await anext(self._inbox))  # noqa: SLF001  # two halves of one thing
        except Malformed as error:
            self._call.refuse(error.code, error.details)
            raise StopAsyncIteration from error
