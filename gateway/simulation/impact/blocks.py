# SPDX-License-Identifier: GPL-3.0-or-later
"""A block of clones: drawn, flown, and counted by what they hit. A question's many jobs.

Each block draws from a counter-based generator of its own (Philox, Salmon et al. 2011, seeded through NumPy's
SeedSequence by the question's seed and the block's number), so that its clones are the same whoever flies it when.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.bodies import Body
from gateway.simulation.impact.passages import NOTHING
from gateway.simulation.impact.proposals import Mixture
from gateway.simulation.impact.question import Moved, Question, mover
from gateway.simulation.impact.target_maps import fly
from gateway.simulation.impact.uncertainty import Cloud

Floats = NDArray[np.float64]

# Impacts on one body that are farther apart in time are different rows.
_SAME_ROW_D: Final = 10


def block_size(mixture: Mixture) -> int:
    """Clones in a block: looking up the bodies is shared, but the one in the closest encounter holds up all.

    Where all are drawn near an impact a few hundred are enough, and most of them do have an encounter.
    """
    return 500 if mixture.is_plain else 200


@dataclass(slots=True)
class Tally:
    """Impacts on one body within a day.

    Attributes:
        weight: their sum.
        square: the sum of their squares.
        hits: their number.
        at: (k,) the most probable one.
        time_d: when that one hits.
    """

    weight: float = 0.0
    square: float = 0.0
    hits: int = 0
    at: Floats = field(default_factory=lambda: np.full(1, np.inf))
    time_d: float = 0.0

    def add(self, other: "Tally") -> None:
        """Count another's too; of two as probable the first stays."""
        self.weight += other.weight
        self.square += other.square
        self.hits += other.hits
        if float(other.at @ other.at) < float(self.at @ self.at):
            self.at, self.time_d = other.at, other.time_d


@dataclass(slots=True)
class Harvest:
    """What some blocks brought.

    Attributes:
        samples: clones.
        unsound: clones that were no orbits: they hit nothing.
        elsewhere: clones that hit something before the window, or something not asked about.
        tallies: by body and whole day.
    """

    samples: int = 0
    unsound: int = 0
    elsewhere: int = 0
    tallies: dict[tuple[Body, int], Tally] = field(default_factory=dict)

    def add(self, other: "Harvest") -> None:
        """Count another's too. The order of additions matters to the last bit."""
        self.samples += other.samples
        self.unsound += other.unsound
        self.elsewhere += other.elsewhere
        for key, tally in other.tallies.items():
            self.tallies.setdefault(key, Tally()).add(tally)

    @property
    def total(self) -> Tally:
        """Of all impacts."""
        total = Tally()
        for key in sorted(self.tallies):
            total.add(self.tallies[key])
        return total

    def encounters(self) -> list[tuple[Body, Tally]]:
        """Impacts on one body at most ten days apart as one, by body and time."""
        found: list[tuple[Body, Tally]] = []
        last: tuple[Body, int] | None = None
        for body, day in sorted(self.tallies):
            if last is None or last[0] is not body or day - last[1] > _SAME_ROW_D:
                found.append((body, Tally()))
            found[-1][1].add(self.tallies[body, day])
            last = body, day
        return found


def fly_block(
    question: Question,
    cloud: Cloud,
    mixture: Mixture,
    number: int,
    count: int,
    emit: Callable[[Moved], None],
    cancelled: Callable[[], bool],
) -> Harvest:
    """A job: draw clones and count what they hit first.

    Args:
        question: what is asked.
        cloud: the orbits.
        mixture: what is drawn from.
        number: of the block.
        count: of its clones.
        emit: told of progress.
        cancelled: asked before every step.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence(question.seed, spawn_key=(number,))))
    z = mixture.draw(random, count)
    weights = mixture.weights(z)
    moved = mover(emit, cloud.epoch_d, question.window_d[1])
    flight, sound = fly(cloud, z, question, near_misses=False, moved=moved, cancelled=cancelled)
    harvest = Harvest(samples=count, unsound=int((~sound).sum()))
    for clone in np.flatnonzero((flight.hit_body != NOTHING) & sound):
        body, time_d = Body(int(flight.hit_body[clone])), float(flight.hit_d[clone])
        if body not in question.bodies or time_d < question.window_d[0]:
            harvest.elsewhere += 1
            continue
        weight = float(weights[clone])
        tally = Tally(weight, weight**2, 1, z[clone].copy(), time_d)
        harvest.tallies.setdefault((body, int(np.floor(time_d))), Tally()).add(tally)
    return harvest
