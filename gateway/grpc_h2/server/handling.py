# SPDX-License-Identifier: GPL-3.0-or-later
"""How a call's handler runs, and what becomes of what it returns or raises."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import grpc

from gateway.grpc_h2.errors import Malformed, ReplyTooLarge
from gateway.grpc_h2.flow import Inbox
from gateway.grpc_h2.metadata import Metadata
from gateway.grpc_h2.server.context import Context, status_code
from gateway.grpc_h2.wire import Framed, MessageDecoder

if TYPE_CHECKING:
    from gateway.grpc_h2.server.connection import Connection

_KINDS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}

log = logging.getLogger(__name__)


class Handling(Context):
    """A call and its handler."""

    def __init__(
        self,
        connection: Connection,
        handler: grpc.RpcMethodHandler[Any, Any],
        metadata: Metadata,
        messages: MessageDecoder,
        accepted: bytes,
    ) -> None:
        """Nothing runs yet.

        Args:
            connection: to whoever calls.
            handler: what answers.
            metadata: of the request.
            messages: makes messages of the request's bytes.
            accepted: the request's `grpc-accept-encoding`.
        """
        super().__init__(connection, metadata, accepted)
        self._handler = handler
        self._answer: Any = getattr(handler, _KINDS[handler.request_streaming, handler.response_streaming])
        self._messages = messages
        self._parse = handler.request_deserializer
        self._serialise = handler.response_serializer
        self._inbox = Inbox(self._consumed, messages, self._may_grow) if handler.request_streaming else None
        self._requests = None if self._inbox is None else _Requests(self, self._inbox)

    async def read(self) -> Any:
        """See `Context`."""
        self._require_open()
        if self._requests is None:
            raise grpc.aio.UsageError("this method takes one message")
        return await anext(self._requests, grpc.aio.EOF)

    def _start(self, request: Any) -> None:
        self._connection.count_served(1)
        self._task = self._connection.loop.create_task(self._serve(request))
        self._connection.server.keep(self._task)

    async def _serve(self, request: Any) -> None:
        try:
            if self._requests is None:
                request = await self._parsed(request)
            await self._handle(request)
        except grpc.aio.AbortError as error:
            if error is not self._aborted:
                log.exception("a handler failed: an AbortError of another call")
                self._fail()
        except Malformed as error:
            self._finish(error.code, error.details, [])
        except ReplyTooLarge:
            log.exception("a handler failed")
        except asyncio.CancelledError:
            self._finish(grpc.StatusCode.CANCELLED, "cancelled", [])
        except Exception:
            # Our own methods have turned errors into statuses by now; this is for others'.
            log.exception("a handler failed")
            self._fail()
        else:
            self._finish(status_code(self._code), self._details, self._trailing_headers)
        finally:
            # Its traceback holds the request, and the call holds it: a cycle, which Python finds late.
            self._aborted = None

    async def _handle(self, request: Any) -> None:
        answered = self._answer(request, self)
        if not self._handler.response_streaming:
            reply = await answered
            # Of an error, its status is all that a caller gets.
            if status_code(self._code) is grpc.StatusCode.OK:
                await self._send(reply)
        elif isinstance(answered, AsyncIterator):
            async for reply in answered:
                await self.write(reply)
        else:
            await answered

    def _fail(self) -> None:
        """End it as a handler that raised: with the handler's code if it set one."""
        code = status_code(self._code)
        failed = grpc.StatusCode.UNKNOWN if code is grpc.StatusCode.OK else code
        self._finish(failed, "the handler failed", self._trailing_headers)

    async def _parsed(self, framed: Framed) -> Any:
        compressed, message = framed
        if compressed:
            message = await self._connection.inflation.plain(self, self._messages, framed)
        return message if self._parse is None else self._parse(message)

    # For the call.

    @abstractmethod
    def refuse(self, code: grpc.StatusCode, details: str) -> None:
        """End it from outside, whatever its handler does."""

    @abstractmethod
    def next_wanted(self) -> None:
        """The handler of a stream is done with a message, and asks for the next."""

    @abstractmethod
    def _may_grow(self) -> bool:
        """Whether the message that has begun may be received, however large it is."""

    @abstractmethod
    def _consumed(self, size: int) -> None:
        """So many bytes of the request were read."""


class _Requests(AsyncIterator[Any]):
    """The messages of a stream, for its handler."""

    def __init__(self, call: Handling, inbox: Inbox) -> None:
        self._call = call
        self._inbox = inbox

    async def __anext__(self) -> Any:
        try:
            self._call.next_wanted()
            return await self._call._parsed(await anext(self._inbox))  # noqa: SLF001  # two halves of one thing
        except Malformed as error:
            self._call.refuse(error.code, error.details)
            raise StopAsyncIteration from error
