# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzz our server or our client: `python -m tests.fuzzing server|client SECONDS [SEED]`.

Runs rounds of 20 examples, each with a seed of its own, until the time is over, and prints the seed of every round. At
a failure hypothesis prints the smallest example that it finds, and the exit code is 1.
"""

import argparse
import asyncio
import gc
import sys
import time

import uvloop
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from gateway.grpc_h2.link import Link
from tests.fuzzing.exchanges import FROM_CLIENTS, FROM_SERVERS
from tests.fuzzing.mutations import hostile
from tests.fuzzing.sides import ClientSide, ServerSide, Troubles

SIDES = {"server": (ServerSide, FROM_CLIENTS), "client": (ClientSide, FROM_SERVERS)}
ROUND = settings(
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=False,
    print_blob=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def fuzz(name, seconds, first_seed):
    """Rounds until the time is over; how many."""
    side, exchanges = SIDES[name]
    troubles = Troubles()
    begun_s, rounds = time.monotonic(), 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        troubles.watch(runner.get_loop())
        while time.monotonic() - begun_s < seconds:
            print("seed", first_seed + rounds, flush=True)
            _round(runner, side, exchanges, troubles, first_seed + rounds)
            left = [link for link in gc.get_objects() if isinstance(link, Link)]
            assert not left, f"connections are left: {left}"
            rounds += 1
    return rounds


def _round(runner, side, exchanges, troubles, number):
    async def check(hostiles):
        async with side() as running:
            await running.check(hostiles)

    @seed(number)
    @ROUND
    @given(st.lists(hostile(exchanges), min_size=1, max_size=8))
    def examine(hostiles):
        for one in hostiles:
            note(f"bytes: {one.data.hex()}")
        runner.run(check(hostiles))
        troubles.check()

    examine()
    runner.run(asyncio.sleep(0))
    gc.collect()
    troubles.check()


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("side", choices=SIDES)
    arguments.add_argument("seconds", type=float)
    arguments.add_argument("seed", type=int, nargs="?", default=0)
    chosen = arguments.parse_args()
    print(fuzz(chosen.side, chosen.seconds, chosen.seed), "rounds without a failure", flush=True)


if __name__ == "__main__":
    sys.exit(main())
