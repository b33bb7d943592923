# SPDX-License-Identifier: GPL-3.0-or-later
"""One address of a target: connected, or trying to be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.grpc_h2.client.connection import Connection
    from gateway.grpc_h2.client.target import Address

_FIRST_BACKOFF_S: Final = 0.1
_MOST_BACKOFF_S: Final = 1.0
_BACKOFF_FACTOR: Final = 1.6
# A connection that ends sooner is as good as none.
_LASTING_S: Final = 1.0


class Subchannel:
    """Keeps a connection to one address.

    Attributes:
        connection: that takes calls; None while there is none.
        failure: why the last try to connect has failed; empty where it has not, and while none has ended.
    """

    def __init__(
        self, address: Address, connect: Callable[[Address], Awaitable[Connection]], changed: Callable[[bool], None]
    ) -> None:
        """Begin to connect.

        Args:
            address: of the server.
            connect: makes a connection that is ready, or raises OSError.
            changed: told when `connection` or `failure` is another, and whether for the worse.
        """
        self.connection: Connection | None = None
        self.failure = ""
        self._address = address
        self._connect = connect
        self._changed = changed
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def renew(self) -> None:
        """Connect anew; calls under way end where they are."""
        if self.connection is not None:
            self.connection.leave()

    def close(self) -> asyncio.Task[None]:
        """Connect no more; calls under way may end. Returns what is done soon."""
        self._task.cancel()
        self.renew()
        self.connection = None
        return self._task

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                self.connection = await self._connect(self._address)
            except OSError as error:
                self.failure = str(error) or type(error).__name__
            else:
                self.failure = ""
                self._changed(False)
                began_s = loop.time()
                await asyncio.shield(self.connection.gone)
                self.connection = None
                if loop.time() - began_s > _LASTING_S:
                    backoff_s = _FIRST_BACKOFF_S
                    self._changed(True)
                    continue
            self._changed(True)
            await asyncio.sleep(backoff_s * random.uniform(0.8, 1.2))  # noqa: S311  # nothing to guess
            backoff_s = min(backoff_s * _BACKOFF_FACTOR, _MOST_BACKOFF_S)
