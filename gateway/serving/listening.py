# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the addresses that pods listen on are free; the setting that moves one is named where it is not."""

import contextlib
import errno
import socket
from collections.abc import Mapping

from gateway.serving.environment import Settings, split_address
from gateway.serving.starting import CannotStart


class CannotListen(CannotStart):
    """An address of a pod is taken, or is none of this machine."""


def require_free(pods: Mapping[str, Settings]) -> None:
    """Check that the addresses of all pods are free, by listening on all of them for a moment.

    Args:
        pods: settings by the pod's name.

    Raises:
        CannotListen: one sentence about the first address that is not free, with the number of the others.
    """
    causes = []
    with contextlib.ExitStack() as held:
        for pod, settings in pods.items():
            for variable, address in settings.listen_addresses():
                try:
                    held.enter_context(_listen(address))
                except OSError as error:
                    causes.append(_cause(pod, variable, address, error))
    if causes:
        others = len(causes) - 1
        more = f"; {others} more address{' is' if others == 1 else 'es are'} not free" if others else ""
        raise CannotListen(causes[0] + more)


def _cause(pod: str, variable: str, address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken: {pod} cannot listen there; set {variable} to move it"
    return f"{pod} cannot listen on {address}: {error.strerror or error}; set {variable} to move it"


def _listen(address: str) -> socket.socket:
    host, port = split_address(address)
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # As servers do: what is left for a minute of the connections of a server that has ended does not count.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
