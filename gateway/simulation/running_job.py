# SPDX-License-Identifier: GPL-3.0-or-later
"""A job on its way through the pool, and its place in the queue."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from gateway.serving.fair_queue import Turn
from gateway.simulation.jobs import Job
from gateway.simulation.request import Request
from gateway.simulation.worker_process import WorkerProcess


@dataclass(slots=True, eq=False)
class Ticket:
    """A job's place in the queue: its worker and its turn come true.

    Attributes:
        running: the job.
        given: the worker, and its turn.
        taken: whether the job has taken them.
        since_s: when it came into the queue.
    """

    running: "Running"
    given: "asyncio.Future[tuple[WorkerProcess, Turn[Ticket]]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    taken: bool = False
    since_s: float = field(default_factory=time.monotonic)

    def may_run_on(self, worker: WorkerProcess) -> bool:
        """Whether a worker may have the job: any one before it has begun, then the one in which it is halted."""
        return self.running.home is None or self.running.home is worker


@dataclass(slots=True, eq=False)
class Running:
    """A job on its way.

    Attributes:
        request: whose it is.
        job: the work.
        number: by which its worker knows it.
        home: the worker in which it is halted; None before it has begun.
        used_s: processor time.
        ticket: its place in the queue, the last that it had.
    """

    request: Request
    job: Job[Any, Any]
    number: int
    home: WorkerProcess | None = None
    used_s: float = 0.0
    ticket: Ticket = field(init=False)

    def __post_init__(self) -> None:
        """Have a place."""
        self.ticket = Ticket(self)
