# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bench.peers build [PEER ...]`, `measure [PEER ...]`, `page`: see docs/benchmarks/peers.md."""

import asyncio
import sys

from bench.peers import environments
from bench.peers.contenders import PEERS
from bench.peers.measuring import measure
from bench.peers.page import write

_USAGE = f"usage: python -m bench.peers build|measure [{' '.join(PEERS)}] | page"


def main() -> None:
    """Do what the arguments say; no peer named means all."""
    command, *names = sys.argv[1:] or [""]
    if set(names) - set(PEERS) or command not in {"build", "measure", "page"}:
        sys.exit(_USAGE)
    chosen = {name: PEERS[name] for name in names or PEERS}
    if command == "page":
        print(write())
        return
    for name, peer in chosen.items():
        print(f"{command} {peer.name}", flush=True)
        if command == "build":
            environments.environment(name, peer.packages)
            environments.graphs()
        else:
            print(asyncio.run(measure(name, peer)))


if __name__ == "__main__":
    main()
