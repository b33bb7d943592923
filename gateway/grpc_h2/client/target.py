# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's names of servers, and the addresses behind them (https://github.com/grpc/grpc/blob/master/doc/naming.md)."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import Final

_SCHEME: Final = re.compile(r"(dns|ipv4|ipv6|passthrough|unix):(?://([^/]*)/)?(.*)")
_HOST_PORT: Final = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]/]+)):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a numeric host and a port, or the path of a socket."""

    host: str
    port: int

    @property
    def is_path(self) -> bool:
        """Whether `host` is the path of a socket."""
        return self.port < 0


@dataclass(frozen=True, slots=True)
class Target:
    """What to look up.

    Attributes:
        authority: the server's name in calls, "anomaly:50052".
        places: hosts and ports, or one path with -1.
    """

    authority: str
    places: tuple[tuple[str, int], ...]

    @property
    def host(self) -> str:
        """The name in its certificate."""
        return self.places[0][0]

    async def addresses(self) -> list[Address]:
        """All of them, as they are now.

        Raises:
            OSError: there are none, or nobody can say.
        """
        loop = asyncio.get_running_loop()
        found: dict[Address, None] = {}
        for host, port in self.places:
            if port < 0:
                found[Address(host, port)] = None
                continue
            for *_, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found[Address(str(address[0]), port)] = None
        return list(found)


def parse_target(text: str) -> Target:
    """Read "dns:///anomaly:50052", "127.0.0.1:50052", "[::1]:50052", "ipv4:10.0.0.1:1,10.0.0.2:1", "unix:/run/pod".

    Raises:
        ValueError: it is none of these.
    """
    found = _SCHEME.fullmatch(text)
    scheme, server, rest = found.groups() if found else ("dns", None, text)
    if scheme == "unix":
        path = f"/{rest}" if server is not None else rest
        if server or not path.strip("/"):
            raise ValueError(f"{text!r} is no gRPC target: unix:path or unix:///path")
        return Target("localhost", ((path, -1),))
    if server:
        raise ValueError(f"{text!r} names a DNS server; only the machine's own are asked")
    places = []
    for place in rest.split(",") if scheme in {"ipv4", "ipv6"} else [rest]:
        parts = _HOST_PORT.fullmatch(place)
        if parts is None or not 0 < int(parts[3]) < 1 << 16:
            raise ValueError(f"{text!r} is no gRPC target: host:port, dns:///host:port, ipv4:…, ipv6:…, unix:path")
        host = parts[1] or parts[2]
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise ValueError(f"{text!r} is no gRPC target: {host!r} can be no host's name") from error
        places.append((host, int(parts[3])))
    return Target(rest.split(",")[0], tuple(places))
