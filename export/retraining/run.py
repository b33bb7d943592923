# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of retraining: what is new is looked at, challengers are trained and pass their gates, and lie ready.

Challengers are published below `<store>/challengers/`, where no server looks. `python -m export rollout` brings them to
where callers are, step by step, when somebody says so.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from export.data.catalogue import Catalogue
from export.progress import Progress
from export.publishing import history, publish
from export.publishing.publish import Published, RefusedError
from export.retraining import report
from export.retraining.consensus import Consensus, noted, without_data_errors
from export.retraining.ledger import Ledger, Result, Run
from export.rollout.store import CHALLENGERS

KEPT_CHALLENGERS: Final = 2
"""Of each model: the newest, and the one before for comparison."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a job is given.

    Attributes:
        catalogue: to learn from, without the rows that consensus calls data errors.
        consensus: what citizens agreed on.
        into: the folder of challengers, laid out like a store.
        version: to publish as.
        used: what the run works with, for manifest and card.
        checkpoints: where the state of training is kept, to go on from.
        progress: told what is being done.
    """

    catalogue: Catalogue
    consensus: Consensus
    into: Path
    version: int
    used: Mapping[str, Any]
    checkpoints: Path
    progress: Progress


@dataclass(frozen=True, slots=True)
class Job:
    """Trains one model and publishes it as a challenger, if it passes its gates.

    Attributes:
        name: of the model.
        recipe: its settings; other settings are another input.
        publish: does it; raises RefusedError.
    """

    name: str
    recipe: Mapping[str, Any]
    publish: Callable[[Task], Published]


Jobs: TypeAlias = Sequence[Job]


def retrain(
    store: Path,
    catalogue: Catalogue,
    consensus: Consensus,
    jobs: Jobs,
    progress: Progress,
    record_training: Callable[[str, str, int], None] | None = None,
) -> tuple[Run, bool]:
    """Train what is new, unless these very inputs were worked on before.

    Killed at any moment, it leaves a whole store: the next call with the same inputs goes on where it was, with other
    inputs it begins anew.

    Args:
        store: folder of published models.
        catalogue: as it is now.
        consensus: as it is now.
        jobs: one a model, in this order.
        progress: told what is being done.
        record_training: tells the feedback store that a model's version was trained with an extraction; may be told
            the same twice.

    Returns:
        The run that worked on these inputs, and whether it did anything now.

    Raises:
        export.retraining.ledger.BusyError: another run is under way.
        export.retraining.consensus.ConsensusError: consensus asks for too much.
        OSError: the disk is full, or gone; nothing half-written is left.
    """
    ledger = Ledger(store)
    with ledger.locked():
        inputs = inputs_of(catalogue, consensus, jobs)
        last, run = ledger.last(), ledger.under_way()
        if last is not None and last.inputs == inputs:
            ledger.forget()
            return last, False
        into = store / CHALLENGERS
        given_up = 0
        if run is not None and run.inputs != inputs:
            given_up = run.run_id
            _give_up(run, into, ledger)
            run = None
        kept, set_aside = without_data_errors(catalogue, consensus)
        if run is None:
            run = Run(
                _new_id(store, jobs, given_up), inputs, consensus.extraction_id, noted(catalogue, consensus, set_aside)
            )
            ledger.note(run)
        used = {
            "run_id": run.run_id,
            "catalogue_sha256": catalogue.provenance.sha256,
            "extraction_id": run.extraction_id,
            "rows_set_aside": set_aside,
        }
        for job in jobs:
            if job.name in run.results:
                continue
            said: list[str] = []
            task = Task(kept, consensus, into, run.run_id, used, ledger.checkpoints, _listening(progress, said))
            run = run.with_result(job.name, _result(job, task, said))
            ledger.note(run)
        published = [name for name, result in run.results.items() if not result.refused]
        if run.extraction_id and record_training is not None:
            # Before the run is over: a version must never go on to callers whose votes nobody could name.
            for name in published:
                record_training(run.extraction_id, name, run.run_id)
        _prune(into, run, ledger)
        run = replace(run, finished_utc=publish.created_utc())
        ledger.finish(run, report.markdown(run))
        return run, True


def inputs_of(catalogue: Catalogue, consensus: Consensus, jobs: Jobs) -> dict[str, Any]:
    """What a run works on: equal inputs, equal challengers."""
    provenance = catalogue.provenance
    inputs = {
        "catalogue": {name: getattr(provenance, name) for name in ("kind", "source", "date", "rows", "sha256")},
        "consensus_sha256": consensus.sha256,
        "recipes": {job.name: job.recipe for job in jobs},
    }
    # As the ledger gives it back: tuples are lists there.
    result: dict[str, Any] = json.loads(json.dumps(inputs))
    return result


def _new_id(store: Path, jobs: Jobs, given_up: int) -> int:
    """The time, or what follows the newest number used: a challenger is the newest, no number comes twice."""
    stores = (store, store / CHALLENGERS)
    taken = [version for job in jobs for folder in stores for version in publish.versions(folder, job.name)]
    return max([publish.new_version(), given_up + 1, *(version + 1 for version in taken)])


def _result(job: Job, task: Task, said: list[str]) -> Result:
    folder = task.into / job.name / str(task.version)
    if folder.exists():
        # The run was killed after this model was renamed into place and before that was noted.
        publish.verify(folder)
        return Result(task.version, "", ("published before the run was broken off",))
    try:
        job.publish(task)
    except RefusedError as refusal:
        return Result(task.version, str(refusal), tuple(said))
    history.write_history(task.into, job.name)
    return Result(task.version, "", tuple(said))


def _listening(progress: Progress, said: list[str]) -> Progress:
    """Pass progress on, and keep what was said at the end of a step."""

    def listen(what: str, fraction: float) -> None:
        progress(what, fraction)
        if fraction >= 1.0:
            said.append(what)

    return listen


def _give_up(run: Run, into: Path, ledger: Ledger) -> None:
    """A killed run whose inputs are out of date: its challengers go, for no record will ever speak of them."""
    for name in run.inputs["recipes"]:
        publish.remove_version(into, name, run.run_id)
    shutil.rmtree(ledger.checkpoints, ignore_errors=True)
    ledger.forget()


def _prune(into: Path, run: Run, ledger: Ledger) -> None:
    for name in run.results:
        for version in publish.versions(into, name)[:-KEPT_CHALLENGERS]:
            publish.remove_version(into, name, version)
        publish.sweep(into / name)
    shutil.rmtree(ledger.checkpoints, ignore_errors=True)
