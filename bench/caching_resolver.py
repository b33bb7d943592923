# SPDX-License-Identifier: GPL-3.0-or-later
"""A DNS server for one name that answers from a copy of its addresses, as a cluster's caching DNS does."""

import asyncio
import contextlib
import ipaddress
import math
import struct
import time
from collections.abc import AsyncIterator
from typing import Final, cast

KEPT_S: Final = 30.0
"""How long a cluster's DNS keeps an answer: `cache 30` and `ttl 30` in the Corefile of kubeadm and kind."""
_HEADER: Final = struct.Struct("!6H")
_ANSWER: Final = struct.Struct("!HHHIH4s")
# RFC 1035, 4.1: a response, recursion asked for and available; an answer's name is the question's, at offset 12.
_FLAGS: Final = 0x8180
_SAME_NAME: Final = 0xC00C
_A, _IN = 1, 1


class CachingResolver(asyncio.DatagramProtocol):
    """Answers A questions for any name with `addresses`, as they were up to `KEPT_S` ago.

    Attributes:
        addresses: IPv4 addresses behind the name, as they are now.
        target: what a gRPC client takes for a server of its own, "dns://127.0.0.1:PORT/".
    """

    def __init__(self) -> None:
        """Without addresses."""
        self.addresses: list[str] = []
        self.target = ""
        self._transport: asyncio.DatagramTransport | None = None
        self._kept: tuple[str, ...] = ()
        self._kept_until_s = -math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where the server listens."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        host, port = transport.get_extra_info("sockname")
        self.target = f"dns://{host}:{port}/"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        number, _, questions, *_ = _HEADER.unpack_from(data)
        end = data.index(0, _HEADER.size) + 5
        kind, _ = struct.unpack_from("!2H", data, end - 4)
        now_s = time.monotonic()
        if now_s >= self._kept_until_s:
            self._kept, self._kept_until_s = tuple(self.addresses), now_s + KEPT_S
        found = self._kept if kind == _A and questions == 1 else ()
        ttl_s = math.ceil(self._kept_until_s - now_s)
        answers = [
            _ANSWER.pack(_SAME_NAME, _A, _IN, ttl_s, 4, ipaddress.IPv4Address(address).packed) for address in found
        ]
        head = _HEADER.pack(number, _FLAGS, 1, len(answers), 0, 0)
        if self._transport is not None:
            self._transport.sendto(head + data[_HEADER.size : end] + b"".join(answers), addr)


@contextlib.asynccontextmanager
async def running_resolver() -> AsyncIterator[CachingResolver]:
    """The server, on a free port of loopback, while entered."""
    loop = asyncio.get_running_loop()
    transport, resolver = await loop.create_datagram_endpoint(CachingResolver, local_addr=("127.0.0.1", 0))
    try:
        yield resolver
    finally:
        transport.close()
