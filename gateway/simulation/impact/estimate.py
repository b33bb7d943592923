# SPDX-License-Identifier: GPL-3.0-or-later
"""From a question to its answer: which jobs are done, in which order, and when it is enough.

The linear estimate comes first. Where its check holds it is the answer, unless another method was asked for. Else the
line of variations is searched for virtual impactors; clones are then drawn around them, or from the whole cloud where
there are none or impacts are common. Blocks of clones are counted in the order of their numbers, whichever worker is
done first, and nothing else decides when to stop: the answer does not depend on the workers.
"""

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import J2000_TDB_JD
from gateway.serving.errors import DeadlineExceeded, FieldViolation, InvalidRequest
from gateway.simulation.heartbeat import with_heartbeat
from gateway.simulation.impact.blocks import Harvest, Tally, block_size, fly_block
from gateway.simulation.impact.describe import describe
from gateway.simulation.impact.first_look import Look, Lost, first_look
from gateway.simulation.impact.gaussian import NORMAL_QUANTILE, wilson
from gateway.simulation.impact.proposals import WHOLE_CLOUD, Mixture, around, whole_cloud
from gateway.simulation.impact.question import Estimate, Method, Moved, Question, Row, TargetMap
from gateway.simulation.impact.search import REACH_SIGMA, SCAN, Candidate, Sighted, candidates, distinct, refine, scan
from gateway.simulation.impact.target_maps import SAME_ENCOUNTER_D, fitted, probability
from gateway.simulation.jobs import Job

Floats = NDArray[np.float64]

# So often a running estimate goes out, and progress at least.
_REPORT_EVERY_S: Final = 0.25
# Fewer hits say too little about their own scatter to stop by it.
_FEWEST_HITS: Final = 50
# Where impacts are more common than this, plain draws do as well.
_COMMON: Final = 0.2
MOST_ROWS: Final = 20
# What each part of the work is, of the whole; the first is the linear estimate.
_SHARES: Final = (0.05, 0.1, 0.1, 0.65, 0.1)
_SCAN_BLOCK: Final = 50


class Requester(Protocol):
    """`gateway.simulation.pool.Request`, or whatever else runs jobs."""

    def run_all(self, jobs: Iterable[Job[Any, Any]]) -> AsyncGenerator[tuple[int, Any], None]:
        """Messages of many jobs with their numbers: updates, and each one's result last."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the whole work is, 0 to 1."""

    fraction_done: float


async def estimate(
    question: Question, requester: Requester, *, time_s: float | None = None
) -> AsyncGenerator[Progress | Estimate, None]:
    """Progress and running estimates, the final one last.

    Args:
        question: what is asked.
        requester: runs jobs, as many at once as there are workers.
        time_s: after so many seconds, or after a job took longer than any may, the final estimate is what is known so
            far, and says that it is not complete.

    Raises:
        InvalidRequest: the object does not live to see the epoch of its uncertainty.
        BackendUnavailable: a worker died twice over one job.
        RuntimeError: the integrator failed.
    """
    answering = _Answering(question, requester, None if time_s is None else time.monotonic() + time_s)
    try:
        for part in (answering.look_first, answering.search, answering.sample, answering.describe):
            async with contextlib.aclosing(part()) as updates:
                async for update in updates:
                    yield update
    except DeadlineExceeded:
        yield answering.so_far()


class _Answering:
    """One question on its way; each part of the work is skipped where it is not needed."""

    def __init__(self, question: Question, requester: Requester, until_s: float | None) -> None:
        self._question = question
        self._requester = requester
        self._until_s = until_s
        self._said = 0.0
        self._look: Look | None = None
        self._current = _nothing_known(question)
        self._found: list[TargetMap] = []
        self._failed = ""

    async def look_first(self) -> AsyncGenerator[Progress | Estimate, None]:
        """The linear estimate."""
        async for message in self._results([partial(first_look, self._question)], 1, part=0):
            if isinstance(message, Lost):
                raise InvalidRequest([_lost(message)])
            if isinstance(message, Look):
                self._look = message
            else:
                yield message
        self._current = _linear(self._question, self._seen)
        yield self._current

    async def search(self) -> AsyncGenerator[Progress | Estimate, None]:
        """Virtual impactors."""
        question, look = self._question, self._seen
        if self._settled or question.method is Method.MONTE_CARLO:
            return
        sigmas = np.linspace(-REACH_SIGMA, REACH_SIGMA, SCAN)
        blocks = np.array_split(sigmas, SCAN // _SCAN_BLOCK)
        scans = [partial(scan, question, look.cloud, look.direction, block) for block in blocks]
        sighted: list[Sighted] = []
        async for message in self._results(scans, len(scans), part=1):
            if isinstance(message, Progress):
                yield message
            else:
                sighted += message
        jobs = [
            partial(refine, question, look.cloud, start, candidate.body, candidate.time_d)
            for start, candidate in _starts(look, candidates(sighted, float(sigmas[1] - sigmas[0])))
        ]
        targets: list[TargetMap | str] = []
        async for message in self._results(jobs, len(jobs), part=2):
            if isinstance(message, Progress):
                yield message
            else:
                targets.append(message)
        self._found = distinct(targets)
        reasons = Counter(target for target in targets if isinstance(target, str))
        self._failed = "; ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))

    async def sample(self) -> AsyncGenerator[Progress | Estimate, None]:
        """Clones, block by block, until it is enough."""
        if self._settled:
            return
        question, look = self._question, self._seen
        mixture = self._mixture()
        size = block_size(mixture)
        whole, rest = divmod(question.samples, size)
        sizes = [size] * whole + ([rest] if rest else [])
        jobs = (partial(fly_block, question, look.cloud, mixture, number, count) for number, count in enumerate(sizes))
        harvest = Harvest()
        next_s = time.monotonic()
        async with contextlib.aclosing(self._results(jobs, len(sizes), part=3)) as results:
            async for message in results:
                if isinstance(message, Progress):
                    yield message
                    continue
                harvest.add(message)
                self._current = _sampled(question, look, harvest, self._found, mixture, self._failed)
                enough = _is_enough(self._current, question.target)
                if enough or time.monotonic() >= next_s:
                    next_s = time.monotonic() + _REPORT_EVERY_S
                    yield self._current
                if enough:
                    return

    async def describe(self) -> AsyncGenerator[Progress | Estimate, None]:
        """The table in full, and the end."""
        current = self._current
        most, notes = _table(current)
        jobs = [partial(describe, self._question, self._seen.cloud, row) for row in most]
        rows: list[Row] = []
        async for message in self._results(jobs, len(jobs), part=4):
            if isinstance(message, Row):
                rows.append(message)
            else:
                yield message
        yield dataclasses.replace(current, rows=_by_time(rows), notes=notes, final=True, complete=True)

    def so_far(self) -> Estimate:
        """The last message of an estimate that has no more time."""
        current = self._current
        if not current.samples and not self._settled_by_look:
            # A linear estimate that does not hold has no interval of its own.
            current = dataclasses.replace(current, low=0.0, high=1.0)
        unfinished = f"not complete: the time was up when {self._said:.0%} of the work was done"
        most, notes = _table(dataclasses.replace(current, notes=(*current.notes, unfinished)))
        return dataclasses.replace(current, rows=_by_time(most), notes=notes, final=True)

    @property
    def _seen(self) -> Look:
        if self._look is None:
            raise RuntimeError("the first look brought nothing")
        return self._look

    @property
    def _settled_by_look(self) -> bool:
        return self._look is not None and not self._look.doubts

    @property
    def _settled(self) -> bool:
        asked = self._question.method
        return asked is Method.LINEAR or (asked is None and self._settled_by_look)

    def _mixture(self) -> Mixture:
        dimensions = self._seen.cloud.dimensions
        common = sum(probability(target) for target in self._found) >= _COMMON
        if not self._found or (common and self._question.method is not Method.IMPORTANCE_SAMPLING):
            return whole_cloud(dimensions)
        return around(self._found, dimensions)

    async def _results(self, jobs: Iterable[Job[Any, Any]], count: int, *, part: int) -> AsyncGenerator[Any, None]:
        """Results in the order of their jobs, with `Progress` between them."""
        base, share = sum(_SHARES[:part]), _SHARES[part]
        done: dict[int, Any] = {}
        fractions: dict[int, float] = {}
        following = 0
        next_s = time.monotonic()
        beating = with_heartbeat(self._requester.run_all(jobs), _REPORT_EVERY_S)
        async with contextlib.aclosing(beating) as messages:
            async for numbered in messages:
                if numbered is not None:
                    number, message = numbered
                    if isinstance(message, Moved):
                        fractions[number] = message.fraction_done
                    else:
                        done[number], fractions[number] = message, 1.0
                while following in done:
                    yield done.pop(following)
                    following += 1
                if self._until_s is not None and time.monotonic() >= self._until_s:
                    raise DeadlineExceeded
                if time.monotonic() >= next_s:
                    next_s = time.monotonic() + _REPORT_EVERY_S
                    # A job that is begun again does not take back what was said.
                    self._said = max(self._said, base + share * min(1.0, sum(fractions.values()) / max(count, 1)))
                    yield Progress(self._said)


def _table(current: Estimate) -> tuple[list[Row], tuple[str, ...]]:
    """The most probable encounters, as many as a table holds, and the notes with what is left out."""
    most = sorted(current.rows, key=lambda row: (-row.probability, row.time_d))[:MOST_ROWS]
    if left_out := len(current.rows) - len(most):
        return most, (*current.notes, f"{left_out} less probable encounters are left out of the table")
    return most, current.notes


def _by_time(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: row.time_d))


def _nothing_known(question: Question) -> Estimate:
    return Estimate(
        method=question.method or Method.LINEAR,
        probability=0.0,
        low=0.0,
        high=1.0,
        samples=0,
        hits=0,
        unseen=None,
        rows=(),
        notes=(*question.notes, "nothing is known yet"),
    )


def _lost(lost: Lost) -> FieldViolation:
    date = f"TDB JD {lost.time_d + J2000_TDB_JD:.5f}"
    return FieldViolation(
        "object.uncertainty.covariance.epoch_tdb_jd",
        f"the nominal orbit does not get there: it meets the surface of {lost.body.name} at {date}",
    )


def _starts(look: Look, begins: Sequence[Candidate]) -> list[tuple[Floats, Candidate]]:
    """Where iterations begin: on the line of variations, and where the linear maps say."""
    starts = [(candidate.sigma * look.direction, candidate) for candidate in begins]
    for row in look.rows:
        if row.target is not None:
            start = fitted(row.target, row.target.capture_km / 3.0)
            starts.append((start, Candidate(0.0, row.body, row.target.time_d, 0.0)))
    return [(start, candidate) for start, candidate in starts if float(np.linalg.norm(start)) <= REACH_SIGMA + 1.0]


def _is_enough(current: Estimate, target: float) -> bool:
    """Whether the interval is as narrow as was asked for."""
    half = 0.5 * (current.high - current.low)
    return current.hits >= _FEWEST_HITS and half <= target * current.probability


def _linear(question: Question, look: Look) -> Estimate:
    rows = look.rows
    notes = tuple(f"the linear estimate does not hold: {doubt}" for doubt in look.doubts)
    if question.method in {None, Method.LINEAR} and not look.doubts:
        notes = ("the linear estimate holds: the full integration bears it out at the likeliest impacts",)
    return Estimate(
        method=Method.LINEAR,
        probability=min(1.0, sum(row.probability for row in rows)),
        low=min(1.0, sum(row.low for row in rows)),
        high=min(1.0, max(sum(row.high for row in rows), 1e-10)),
        samples=0,
        hits=0,
        unseen=None,
        rows=rows,
        notes=(*question.notes, *notes),
    )


def _sampled(
    question: Question, look: Look, harvest: Harvest, found: Sequence[TargetMap], mixture: Mixture, failed: str = ""
) -> Estimate:
    samples, total, plain = harvest.samples, harvest.total, mixture.is_plain
    # Weights of more hits than there are clones: all of the cloud, as far as one can tell.
    whole = max(float(samples), total.weight)
    share, low, high = _interval(total, samples, whole, plain=plain)
    rows = [
        Row(body, tally.time_d, *_interval(tally, samples, whole, plain=plain), tally.hits, tally.at)
        for body, tally in harvest.encounters()
    ]
    rows += _without_hits(found, rows, mixture, samples)
    notes = [*question.notes, *(f"the linear estimate does not hold: {doubt}" for doubt in look.doubts)]
    if question.method is not Method.MONTE_CARLO:
        notes.append(
            f"virtual impactors found along the line of variations, out to {REACH_SIGMA:g} sigma: {len(found)}"
        )
        if failed:
            notes.append(f"searches along the line of variations that led to no impactor: {failed}")
    if not total.hits:
        drawn = samples if plain else round(WHOLE_CLOUD * samples)
        notes.append(f"nothing hit: 3 / {drawn:,} bounds the probability with 95 % confidence")
    if harvest.unsound:
        notes.append(f"{harvest.unsound:,} of {samples:,} draws are no orbits (e < 0, or a size that contradicts it)")
    if harvest.elsewhere:
        notes.append(f"{harvest.elsewhere:,} clones hit something else, or before the window: they are not counted")
    return Estimate(
        method=Method.MONTE_CARLO
        if plain and question.method is not Method.IMPORTANCE_SAMPLING
        else Method.IMPORTANCE_SAMPLING,
        probability=share,
        low=low,
        high=high,
        samples=samples,
        hits=total.hits,
        unseen=None if plain else min(1.0, 3.0 / (WHOLE_CLOUD * samples)),
        rows=tuple(sorted(rows, key=lambda row: (row.time_d, row.body))),
        notes=tuple(notes),
    )


def _without_hits(found: Sequence[TargetMap], rows: Sequence[Row], mixture: Mixture, samples: int) -> list[Row]:
    """Virtual impactors that no clone hit: each one's bound, from how many clones it got.

    Without a hit in N draws, impacts that weigh w are less probable than 3 w / N with 95 % confidence; w is taken
    where they are most probable, and never below what the impactor's own map says of all.
    """
    missing = [
        target
        for target in found
        if not any(row.body is target.body and abs(row.time_d - target.time_d) <= SAME_ENCOUNTER_D for row in rows)
    ]
    return [
        Row(
            body=target.body,
            time_d=target.time_d,
            probability=0.0,
            low=0.0,
            high=min(1.0, max(3.0 * float(mixture.weights(target.at[None])[0]) / samples, probability(target))),
            hits=0,
            at=target.at,
            target=target,
        )
        for target in missing
    ]


def _interval(tally: Tally, samples: int, whole: float, *, plain: bool) -> tuple[float, float, float]:
    """The probability and its 95 % interval: a share of plain draws, or a mean of weights on a logarithmic scale.

    Args:
        tally: of what hits.
        samples: clones drawn.
        whole: weight of the whole cloud; shares of it never add up to more than 1.
        plain: whether draws are plain.
    """
    if plain:
        return tally.hits / samples, *wilson(tally.hits, samples)
    if not tally.hits:
        return 0.0, 0.0, min(1.0, 3.0 / (WHOLE_CLOUD * samples))
    mean = tally.weight / samples
    variance = max(tally.square / samples - mean**2, 0.0) / samples
    # One hit says nothing of its own scatter: as much as its weight.
    relative = float(np.sqrt(max(variance, 1e-12 * mean**2)) / mean)
    factor = float(np.exp(NORMAL_QUANTILE * relative))
    share = min(1.0, tally.weight / whole)
    return share, share / factor, min(1.0, share * factor)
