# SPDX-License-Identifier: GPL-3.0-or-later
"""What every server is asked, for how long, and by which names results are kept."""

import os
from dataclasses import dataclass
from typing import Final

from bench.peers import wire
from bench.peers.environments import FOLDER

TOLERANCE: Final = 1e-5
SECONDS: Final = float(os.environ.get("ORRERY_BENCH_SECONDS", "0.5"))
# Requests of one object that callers go through; of many objects a quarter of it.
DISTINCT: Final = 16

RESULTS: Final = FOLDER / "results"
ECHO: Final = "bare grpc.aio echo"
DIRECT: Final = "ours, direct to the model's own pod"
FRONT: Final = "ours, through the front"
FRONT_OPEN: Final = "ours, through the front, Open Inference Protocol"
OURS: Final = (DIRECT, FRONT, FRONT_OPEN)


@dataclass(frozen=True, slots=True)
class Load:
    """So many rows a call, from so many callers at a time."""

    model: str
    rows: int
    concurrency: int

    @property
    def key(self) -> str:
        """Its name in results."""
        return f"{self.model}/{self.rows}/{self.concurrency}"


LOADS: Final = tuple(
    Load(model, rows, concurrency)
    for model in wire.OUTPUTS
    for rows, concurrency in ((1, 1), (1, 16), (1, 64), (1_000, 4))
)
