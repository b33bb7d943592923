# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server keeps for its connections: requests that are not whole or not read, answers that nobody reads.

Who keeps most loses first. So however many connections fill the budget, one that keeps little is left alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.grpc_h2.server.connection import Connection

_MIB: Final = 1024 * 1024
MOST_BYTES: Final = 48 * _MIB
"""Of all connections of a server."""

MOST_OF_CONNECTION: Final = 32 * _MIB
"""Of one of them."""

STREAM_BYTES: Final = 12 * 1024
"""What an open stream counts for besides its bytes."""

# Once it is used up, so much of it is freed at a time. Streams that are merely open may not take this part.
_FREED_SHARE: Final = 0.125


class Budget:
    """Bytes that a server keeps."""

    def __init__(self, connections: Collection[Connection]) -> None:
        """Begin with nothing kept.

        Args:
            connections: of the server, as they come and go.
        """
        self._connections = connections
        self._kept = 0
        self._is_freeing = False

    def change(self, connection: Connection, by: int) -> None:
        """Count bytes that a connection keeps, or keeps no more."""
        self._kept += by
        connection.kept_bytes += by
        if by <= 0 or self._is_freeing:
            return
        if connection.kept_bytes > MOST_OF_CONNECTION:
            self._free([connection], MOST_OF_CONNECTION * (1 - _FREED_SHARE))
        elif self._kept > MOST_BYTES:
            level = _level([other.kept_bytes for other in self._connections], MOST_BYTES * (1 - _FREED_SHARE))
            self._free([other for other in self._connections if other.kept_bytes > level], level)

    @staticmethod
    def has_room_for_stream(streams: int, all_streams: int, sharing: int) -> bool:
        """Whether a connection may open one more stream, by what open streams count for besides their bytes.

        Ending calls once the budget is used up takes processor time for each open call; refusing a new one takes none.
        Bytes are left to the budget: it ends the largest calls, where this would refuse all callers behind a proxy.

        Args:
            streams: that the connection has open.
            all_streams: of all connections.
            sharing: connections that have streams open, this one included.
        """
        most, most_of_connection = (
            int(size * (1 - _FREED_SHARE)) // STREAM_BYTES for size in (MOST_BYTES, MOST_OF_CONNECTION)
        )
        return streams < most_of_connection and (all_streams < most or streams < most // sharing)

    def _free(self, connections: list[Connection], level: float) -> None:
        self._is_freeing = True
        try:
            for connection in connections:
                connection.shrink_to(level)
        finally:
            self._is_freeing = False


def _level(amounts: list[int], most: float) -> float:
    """The largest share with which the sum of all is no more than `most`, where less is asked for less is given."""
    left, count = most, len(amounts)
    for amount in sorted(amounts):
        if amount * count > left:
            return left / count
        left -= amount
        count -= 1
    return most
