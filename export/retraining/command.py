# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m export retrain`: fit to be run by a timer, again and again."""

import contextlib
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from export import paths
from export.data import catalogue, sources
from export.data.catalogue import Catalogue, CatalogueError
from export.errors import ExportError
from export.progress import Progress
from export.publishing import champions, infra_check
from export.publishing.infra_check import Pod
from export.publishing.publish import MANIFEST_FILE
from export.retraining.consensus import Consensus
from export.retraining.ledger import Run
from export.retraining.run import retrain

REFUSED_EXIT: Final = 3
"""The exit status of a run whose challenger did not pass: nothing is broken, and trying again changes nothing."""


def current_catalogue(path: Path | None, cache: Path, store: Path, *, offline: bool, progress: Progress) -> Catalogue:
    """The newest catalogue there is, not older than what the champion learnt from.

    Args:
        path: a file to read instead.
        cache: where catalogues are kept.
        store: where the champion lies.
        offline: ask no service.
        progress: told what is read.

    Raises:
        CatalogueError: there is none that a champion could be challenged with.
    """
    if path is not None:
        return catalogue.load(path, cache)
    found = (
        catalogue.load(None, cache, services=())
        if offline
        else catalogue.update(cache, sources.SERVICES, progress=progress)
    )
    for name in ("neo_classifier", "neo_anomaly"):
        champion = champions.champion(store, name)
        if champion is None:
            continue
        learnt_from = json.loads((champion / MANIFEST_FILE).read_text(encoding="utf-8"))["training_data"]
        real_in_vain = learnt_from["kind"] != "synthetic" == found.provenance.kind
        if real_in_vain or (
            learnt_from["kind"] == found.provenance.kind and found.provenance.date < learnt_from["date"]
        ):
            raise CatalogueError(
                f"no newer catalogue is in reach: {found.provenance.description} ({found.provenance.date}), while "
                f"{name} {champion.name} learnt from one of {learnt_from['date']}; nothing was trained"
            )
    return found


class NotRecordedError(ExportError):
    """The feedback store could not be told which votes a version was trained with."""


def record_training(extraction_id: str, name: str, version: int) -> None:
    """Tell the feedback store, so that whoever has their votes erased is told the versions that learnt with them.

    Raises:
        NotRecordedError: it did not take it.
    """
    what = ["--run-id", extraction_id, "--model", name, "--version", str(version)]
    command = [sys.executable, "-m", "gateway", "feedback", "trained", *what]
    done = subprocess.run(  # noqa: S603 - our own module, in this very interpreter
        command, cwd=paths.PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotRecordedError(f"the feedback store did not note {name} {version}: {done.stderr.strip()}")


def run(
    store: Path,
    found: Catalogue,
    consensus: Consensus,
    schedule: str,
    serving: int | None,
    progress: Progress,
    *,
    records: bool = False,
) -> tuple[Run, bool]:
    """Retrain both models on a schedule of `export.retraining.jobs.SCHEDULES`; see `export.retraining.run.retrain`.

    Args:
        store: of published models.
        found: the catalogue.
        consensus: of citizens.
        schedule: how much to train.
        serving: the classifier that answers callers, where labels say it.
        progress: told what is done.
        records: whether the feedback store is told which versions were trained with its extraction.
    """
    progress("importing tensorflow", 0.0)
    from export.retraining import jobs  # noqa: PLC0415 - tensorflow takes ten seconds

    network_scale, forest_scale = jobs.SCHEDULES[schedule]
    with contextlib.ExitStack() as stack:

        @functools.cache
        def pods() -> tuple[Pod, Pod]:
            # Both at the first need of one: their libraries load while the first model is trained.
            return stack.enter_context(infra_check.anomaly_pod()), stack.enter_context(infra_check.model_server())

        wanted = (
            jobs.forest_job(store, forest_scale, lambda: pods()[0]),
            jobs.classifier_job(store, network_scale, lambda: pods()[1], serving),
        )
        return retrain(store, found, consensus, wanted, progress, record_training if records else None)
