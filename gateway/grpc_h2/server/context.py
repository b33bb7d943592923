# SPDX-License-Identifier: GPL-3.0-or-later
"""What a handler finds: the interface of grpc.aio.ServicerContext."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from gateway.grpc_h2.compression import encoding_of
from gateway.grpc_h2.flow import Outbox
from gateway.grpc_h2.metadata import Metadata, MetadataLike, headers_of
from gateway.grpc_h2.session_events import Headers

if TYPE_CHECKING:
    from gateway.grpc_h2.server.connection import Connection

log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Context(ABC):
    """The call that a handler serves."""

    def __init__(self, connection: Connection, metadata: Metadata, accepted: bytes) -> None:
        """Begin with a call that has sent nothing.

        Args:
            connection: to whoever calls.
            metadata: of the request.
            accepted: the request's `grpc-accept-encoding`.
        """
        self._connection = connection
        self._metadata = metadata
        self._accepted = accepted
        self._outbox = Outbox()
        self._trailing: MetadataLike = ()
        self._trailing_headers: Headers = []
        # What the handler set; OK where it set nothing.
        self._code: Any = None
        self._details = ""
        self._encoding: bytes | None = None
        self._next_is_plain = False
        self._responded = self._finished = False
        self._aborted: grpc.aio.AbortError | None = None
        self._deadline_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._callbacks: list[Callable[[Any], None]] = []

    # About the request.

    def invocation_metadata(self) -> Metadata:
        """The request's."""
        return self._metadata

    def peer(self) -> str:
        """The caller's address, as gRPC writes it: "ipv4:127.0.0.1:50000"."""
        return self._connection.peer

    def peer_identities(self) -> list[bytes] | None:
        """The names in the caller's certificate; None without one."""
        return self._connection.peer_identities

    def peer_identity_key(self) -> str | None:
        """Which names those are; None without a certificate."""
        return self._connection.peer_identity_key

    def auth_context(self) -> dict[str, list[bytes]]:
        """How the connection is secured, and the properties of the caller's certificate."""
        return self._connection.auth_context()

    def time_remaining(self) -> float | None:
        """Seconds to the deadline; None without one."""
        return None if self._deadline_s is None else max(0.0, self._deadline_s - monotonic())

    # About the answer.

    async def send_initial_metadata(self, initial_metadata: MetadataLike) -> None:
        """Send metadata before the first message, now.

        Raises:
            grpc.aio.UsageError: headers were sent before, or the call has ended.
            InvalidMetadata: it cannot be sent.
            TypeError: it is of another type.
        """
        self._require_open()
        if self._responded:
            raise grpc.aio.UsageError("Send initial metadata failed: already sent")
        self._respond(headers_of(initial_metadata))
        self._connection.flush_soon()

    def set_trailing_metadata(self, trailing_metadata: MetadataLike) -> None:
        """Send metadata with the status.

        Raises:
            InvalidMetadata: it cannot be sent.
            TypeError: it is of another type.
        """
        self._trailing_headers = headers_of(trailing_metadata)
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> MetadataLike:
        """What was set."""
        return self._trailing

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status of a handler that returns."""
        self._code = code

    def code(self) -> grpc.StatusCode | None:
        """What was set; None where nothing was."""
        code: grpc.StatusCode | None = self._code
        return code

    def set_details(self, details: str) -> None:
        """Set the status's sentence."""
        if not isinstance(details, str):
            raise TypeError(f"details must be str, not {type(details).__name__}")
        self._details = details

    def details(self) -> str:
        """What was set."""
        return self._details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Compress the messages, if the caller takes that.

        Raises:
            RuntimeError: headers were sent before.
            ValueError: there is no such compression.
        """
        if self._responded:
            raise RuntimeError("Compression setting must be specified before sending initial metadata")
        encoding = encoding_of(compression)
        accepts = encoding is not None and encoding in self._accepted.replace(b" ", b"").split(b",")
        self._encoding = encoding if accepts else None

    def disable_next_message_compression(self) -> None:
        """Send the next message as it is."""
        self._next_is_plain = True

    async def write(self, message: Any) -> None:
        """Send a message of a stream; waits while the caller does not read.

        Raises:
            grpc.aio.UsageError: the call has ended.
            ReplyTooLarge: the message is; the call ends with RESOURCE_EXHAUSTED.
        """
        self._require_open()
        await self._send(message)
        await self._outbox.room()

    @abstractmethod
    async def read(self) -> Any:
        """The next message of a stream, or `grpc.aio.EOF`.

        Raises:
            grpc.aio.UsageError: the method takes one message, or the call has ended.
        """

    # Its end.

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: MetadataLike = ()) -> NoReturn:
        """End the call with an error; does not return.

        Args:
            code: of the status.
            details: the sentence; what `set_details` was given, if it is empty.
            trailing_metadata: goes with it; what `set_trailing_metadata` was given, if it is empty.

        Raises:
            grpc.aio.AbortError: always, unless
            grpc.aio.UsageError: the call was aborted before.
            InvalidMetadata: the metadata cannot be sent; the call ends without it.
        """
        if self._aborted is not None:
            raise grpc.aio.UsageError("Abort already called!")
        self._aborted = grpc.aio.AbortError("Locally aborted.")
        self._code = code
        if details:
            self.set_details(details)
        try:
            if trailing_metadata:
                self.set_trailing_metadata(trailing_metadata)
        finally:
            self._finish(status_code(code), self._details, self._trailing_headers)
        raise self._aborted

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status; see `abort`."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def cancelled(self) -> bool:
        """Whether the caller has gone, or the deadline has passed."""
        return self._finished and self._task is not None and not self._task.done()

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._finished

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Have a function called with this context when the call and its handler have ended."""
        self._callbacks.append(callback)

    # For the call.

    @abstractmethod
    async def _send(self, message: Any) -> None:
        """Send a message."""

    @abstractmethod
    def _respond(self, initial: Headers) -> None:
        """Send the headers, unless they were sent."""

    @abstractmethod
    def _finish(self, code: grpc.StatusCode, details: str, trailing: Headers) -> None:
        """Send the status, once."""

    def _require_open(self) -> None:
        """Raise where the handler has no call any more."""
        if self._aborted is not None:
            raise self._aborted
        if self._finished:
            raise grpc.aio.UsageError("RPC already finished.")

    def _tell_callbacks(self, _task: object = None) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("a callback at the end of a call failed")


def status_code(code: Any) -> grpc.StatusCode:
    """A code as gRPC reads it: OK for none, UNKNOWN for what is no code."""
    if code is None:
        return grpc.StatusCode.OK
    if isinstance(code, grpc.StatusCode):
        return code
    return _CODES.get(code, grpc.StatusCode.UNKNOWN) if isinstance(code, int) else grpc.StatusCode.UNKNOWN


grpc.aio.ServicerContext.register(Context)  # type: ignore[type-abstract]  # its calls are concrete
