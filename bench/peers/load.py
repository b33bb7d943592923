# SPDX-License-Identifier: GPL-3.0-or-later
"""The one load generator: closed loops in one asyncio process, every reply's status and numbers checked."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import grpc
import numpy as np

from bench.gateway import Measure, closed_loop
from bench.peers.loads import SECONDS, TOLERANCE
from bench.peers.wire import Outputs

_CALL_TIMEOUT_S: Final = 30.0
_READY_WITHIN_S: Final = 120.0
_KNOWN_REPLIES: Final = 32

Call: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class WrongAnswer(RuntimeError):
    """A server replied with other numbers."""


class Refused(RuntimeError):
    """A status other than 200, or no connection, over HTTP."""


class Question:
    """A request and what its reply must say."""

    def __init__(self, request: bytes, decode: Callable[[bytes], Outputs], expected: Outputs) -> None:
        """Take the request.

        Args:
            request: its bytes.
            decode: reads a reply.
            expected: outputs by name; a reply may say fewer of them, but one at least.
        """
        self.request = request
        self._decode = decode
        self._expected = expected
        self._known: set[bytes] = set()

    def known(self, reply: bytes) -> None:
        """Take these bytes for right, as an echo's are."""
        self._known.add(reply)

    def check(self, reply: bytes) -> None:
        """Read the reply, unless the same bytes have been read before.

        Raises:
            WrongAnswer: a number is not the expected one to `TOLERANCE`.
        """
        if reply in self._known:
            return
        outputs = self._decode(reply)
        compared = [name for name in self._expected if name in outputs]
        for name in compared:
            found, wanted = outputs[name], self._expected[name]
            if found.shape != wanted.shape or not np.allclose(
                found.astype(np.float64), wanted.astype(np.float64), rtol=0.0, atol=TOLERANCE
            ):
                raise WrongAnswer(f"{name}: {found} in place of {wanted}")
        if not compared:
            raise WrongAnswer(f"only {sorted(outputs)} in place of {sorted(self._expected)}")
        if len(self._known) < _KNOWN_REPLIES:
            self._known.add(reply)


def grpc_call(channel: grpc.aio.Channel, method: str) -> Call:
    """Bytes to bytes; a status other than OK raises."""
    ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)

    async def call(request: bytes) -> bytes:
        return await ask(request, timeout=_CALL_TIMEOUT_S)

    return call


def calls(call: Call, questions: Sequence[Question], concurrency: int, seconds: float = SECONDS) -> Measure:
    """Calls a second of so many callers, each with one call at a time, who go through the questions in turn."""
    turn = itertools.cycle(questions)

    async def ask() -> None:
        question = next(turn)
        question.check(await call(question.request))

    return closed_loop(ask, concurrency, seconds)


async def answering(call: Call, question: Question, is_running: Callable[[], bool]) -> None:
    """Wait until a server answers the question rightly, two minutes at most.

    Raises:
        RuntimeError: its process ended.
        WrongAnswer: it answers with other numbers.
        TimeoutError: it never answered.
    """
    last: Exception | None = None
    end_s = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end_s:
        if not is_running():
            raise RuntimeError("the server ended while starting; see its log")
        try:
            question.check(await asyncio.wait_for(call(question.request), 5.0))
        except (grpc.aio.AioRpcError, TimeoutError, Refused) as error:
            last = error
            await asyncio.sleep(0.5)
        else:
            return
    raise TimeoutError(f"no right answer in {_READY_WITHIN_S:g} s; the last: {last!r}")
