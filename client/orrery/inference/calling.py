# SPDX-License-Identifier: Apache-2.0
"""What the client for threads and the client for asyncio share: callables by method, deadlines, and the token."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic

import grpc

from orrery.inference import v1
from orrery.inference.errors import InferenceError
from orrery.inference.methods import Method, Reply, Request
from orrery.inference.questions import check_version, pin, version_of
from orrery.inference.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM_MESSAGES_UNDER_WAY: Final = 16
"""Sent ahead of their replies in one stream."""


class Calling:
    """Calls over one channel."""

    def __init__(self, channel: Any, metadata: Callable[[], tuple[tuple[str, str], ...]]) -> None:
        """Take a channel of either kind.

        Args:
            channel: of `grpc` or of `grpc.aio`.
            metadata: of each call.
        """
        self._channel = channel
        self._metadata = metadata
        self._callables: dict[str, Any] = {}

    def callable_of(self, method: Method[Any, Any]) -> Any:
        """What gRPC has for calling a method."""
        if method.path not in self._callables:
            self._callables[method.path] = getattr(self._channel, method.kind)(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.reply.FromString,
            )
        return self._callables[method.path]

    def close(self) -> Any:
        """Close the channel; to be awaited where it is asyncio's."""
        return self._channel.close()

    def budget(self, method: Method[Any, Any], timeout_s: float | None) -> dict[str, Any]:
        """Deadline and metadata of a call."""
        return {"timeout": method.within_s(timeout_s), "metadata": self._metadata()}


class Window(Generic[Request, Reply]):
    """The messages of a stream that wait for their replies, with the tables they came from, oldest first."""

    def __init__(self, unary: Method[Request, Reply], model: v1.ModelSelector | None) -> None:
        self._unary = unary
        self._model = model
        self.version: int | None = None
        self.waiting: deque[tuple[Table, Request]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether another message may be sent; only one until it is known which version answers."""
        return len(self.waiting) < (1 if self.version is None else STREAM_MESSAGES_UNDER_WAY)

    def add(self, table: Table) -> Request:
        """The message of a table, which now waits."""
        request: Any = self._unary.request(orbits=table.part(slice(None)), model=self._model)
        pin(request, self.version)
        self.waiting.append((table, request))
        return request  # type: ignore[no-any-return]

    def requests(self) -> list[Request]:
        """Those that wait, for a new stream in place of a lost one."""
        return [request for _, request in self.waiting]

    def answer(self, reply: Reply) -> Any:
        """The reply to the one that has waited longest, in its table's form.

        Raises:
            MixedVersionsError: another version answered.
        """
        if self.version is None:
            self.version = version_of(reply)
        check_version(reply, self.version)
        table, _ = self.waiting.popleft()
        return table.answer(reply)


def can_go_on(error: grpc.RpcError) -> bool:
    """Whether a stream was lost on the way, so that another may take its place.

    Its server went, or it is grpc.aio's own INTERNAL, which stands in for the true status where a stream ends while it
    is being written to; either way the unary method tells what is the matter.
    """
    refusal = InferenceError(error)
    return refusal.code is grpc.StatusCode.UNAVAILABLE or (
        refusal.code is grpc.StatusCode.INTERNAL and not refusal.reason
    )
