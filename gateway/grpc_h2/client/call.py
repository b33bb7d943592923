# SPDX-License-Identifier: GPL-3.0-or-later
"""One call: attempt after attempt until one has ended for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from gateway.grpc_h2.client.attempt import Attempt, NoStreamLeft
from gateway.grpc_h2.client.ended import LOCALLY_CANCELLED, Ended, by_malformed
from gateway.grpc_h2.client.retrying import Retries
from gateway.grpc_h2.client.state import CallState
from gateway.grpc_h2.compression import framed
from gateway.grpc_h2.errors import Malformed, MessageTooLarge
from gateway.grpc_h2.session_events import Headers
from gateway.grpc_h2.wire import prefix, timeout_text

if TYPE_CHECKING:
    from gateway.grpc_h2.client.connection import Connection


class Call(CallState):
    """A call under way."""

    __slots__ = ()

    # What its attempt reports.

    def answered(self) -> None:
        """The server has begun to answer: from here on nothing is sent again."""
        self._contents = None
        self._wake()

    def attempt_ended(self, attempt: Attempt, ended: Ended) -> None:
        """An attempt is over: so is the call, or there is another one."""
        if attempt is not self._attempt or self._over is not None:
            return
        if ended.code is grpc.StatusCode.OK or not self._try_again(ended, attempt):
            self._end(self._checked(attempt, ended))

    # Attempts

    def _start(self) -> None:
        """Send what there is now, if there is a connection."""
        if self._over is None and not ((connection := self._channel.pick()) and self._attempt_on(connection)):
            self._drive(0.0)

    def _drive(self, after_s: float) -> None:
        self._driver = self._loop.create_task(self._find_connection(after_s))
        self._channel.keep(self._driver)

    async def _find_connection(self, after_s: float) -> None:
        """Wait for a connection, and make the next attempt on it."""
        if after_s > 0:
            await asyncio.sleep(after_s)
        while self._over is None:
            connection = self._channel.pick()
            if connection is not None:
                if self._attempt_on(connection):
                    break
                continue
            try:
                failure = await self._channel.connected(wait_for_ready=self._waits_for_ready)
            except grpc.aio.UsageError:
                # The channel was closed meanwhile.
                self.cancel()
                break
            if failure:
                ended = Ended(grpc.StatusCode.UNAVAILABLE, failure)
                if not self._try_again(ended, None):
                    self._end(ended)
                break

    def _attempt_on(self, connection: Connection) -> bool:
        """Begin an attempt and send again what was sent; False where the connection has no room for it."""
        try:
            attempt = Attempt(
                connection, self, self._headers(), self._channel.max_message_bytes, one_reply=self._method.one_reply
            )
        except NoStreamLeft:
            return False
        self._attempt = attempt
        for head, content in self._contents or ():
            attempt.send(head, content)
        if self._whole:
            attempt.finish()
        self._wake()
        return True

    def _try_again(self, ended: Ended, attempt: Attempt | None) -> bool:
        if self._contents is None or (attempt is not None and attempt.initial is not None):
            return False
        if self._retries is None:
            self._retries = Retries()
        after_s = self._retries.after(ended, was_sent=attempt is not None, idempotent=self._method.idempotent)
        if after_s is None:
            return False
        self._attempt = None
        self._drive(after_s)
        return True

    def _headers(self) -> Headers:
        headers = self._method.headers + self._metadata
        if self._deadline_s is not None:
            headers.append((b"grpc-timeout", timeout_text(self._deadline_s - self._loop.time())))
        if self._encoding is not None:
            headers.append((b"grpc-encoding", self._encoding))
        if self._retries is not None and self._retries.failures:
            headers.append((b"grpc-previous-rpc-attempts", b"%d" % self._retries.failures))
        return headers

    def _checked(self, attempt: Attempt, ended: Ended) -> Ended:
        """How the call ended, if its attempt ended so: a method with one reply must have sent one."""
        if not self._method.one_reply or ended.code is not grpc.StatusCode.OK:
            return ended
        if attempt.decoder is None or attempt.reply is None:
            broken = attempt.decoder is not None and attempt.decoder.in_the_middle
            details = "the stream ends within a message" if broken else "0 answers to a call that has one"
            return Ended(grpc.StatusCode.INTERNAL, details, ended.initial, ended.trailing)
        try:
            self._parsed = attempt.decoder.plain(attempt.reply)
        except Malformed as error:
            return by_malformed(error)
        return ended

    # Requests

    def _content(self, request: Any) -> bytes:
        """A message as bytes.

        Raises:
            MessageTooLarge: it is larger than may be sent.
        """
        content: bytes = request if self._method.serialise is None else self._method.serialise(request)
        limit = self._channel.max_message_bytes
        if len(content) > limit:
            details = f"a request of {len(content)} bytes: at most {limit} may be sent"
            raise Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, details, kind=MessageTooLarge).error()
        return content

    def _send_only(self, request: Any) -> None:
        """Send the one request of a call, and begin."""
        if self._over is not None:
            return
        try:
            content = self._content(request)
        except MessageTooLarge as error:
            self._end(Ended(error.code(), error.details() or "", kind=MessageTooLarge))
            return
        except BaseException:
            # Its serialiser's.
            self._end(LOCALLY_CANCELLED)
            raise
        self._whole = True
        if self._encoding is None:
            self._contents = [(prefix(content), content)]
            self._start()
        else:
            self._driver = self._loop.create_task(self._compress_and_start(content, self._encoding))

    async def _compress_and_start(self, content: bytes, encoding: bytes) -> None:
        self._contents = [await framed(content, encoding)]
        self._start()
