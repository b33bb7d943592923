# SPDX-License-Identifier: GPL-3.0-or-later
"""The two models' jobs as retraining runs them: into the challengers, behind every gate, beside the champion."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from export.classifier import job as network
from export.classifier.job import CLASSIFIER, ClassifierScale
from export.data.cleaning import MODEL_COLUMNS
from export.forest import job as forest
from export.forest.job import ANOMALY, ForestScale
from export.publishing import champions, gate
from export.publishing.infra_check import Pod
from export.publishing.publish import MANIFEST_FILE, Published
from export.retraining.consensus import rows_of
from export.retraining.run import Job, Task

SCHEDULES: Final = {"quick": (network.QUICK, forest.QUICK), "full": (network.FULL, forest.FULL)}


def classifier_job(store: Path, scale: ClassifierScale, model_server: Callable[[], Pod], serving: int | None) -> Job:
    """Of the network.

    Args:
        store: where the champion lies.
        scale: how much to train.
        model_server: gives one over an empty store.
        serving: the champion's version, where labels say it.
    """

    def publish(task: Task) -> Published:
        passes = gate.classifier_gate(
            store, task.version, task.catalogue, model_server(), task.progress, serving, races=True
        )
        return network.publish_classifier(
            task.catalogue, scale, store, task.version, task.progress, passes,
            checkpoints=task.checkpoints, into=task.into, used=task.used,
        )  # fmt: skip

    return Job(CLASSIFIER, asdict(scale), publish)


def forest_job(store: Path, scale: ForestScale, anomaly_pod: Callable[[], Pod]) -> Job:
    """Of the forest.

    Args:
        store: where the champion lies.
        scale: how large.
        anomaly_pod: gives one over an empty store.
    """

    def publish(task: Task) -> Published:
        objects = task.catalogue.objects
        watched = rows_of(objects, [*watch_list(store), *task.consensus.interesting])
        orbits = objects.loc[rows_of(objects, watch_list(store)), list(MODEL_COLUMNS)].to_numpy(dtype="float64")
        passes = gate.forest_challenger_gate(store, task.version, task.catalogue, orbits, anomaly_pod(), task.progress)
        return forest.publish_anomaly(
            task.catalogue, scale, task.into, task.version, task.progress,
            gate=passes, used=task.used, watched=watched,
        )  # fmt: skip

    return Job(ANOMALY, asdict(scale), publish)


def watch_list(store: Path) -> list[str]:
    """The designations on the champion's watch list: once interesting, an object stays watched."""
    champion = champions.champion(store, ANOMALY)
    if champion is None:
        return []
    manifest = json.loads((champion / MANIFEST_FILE).read_text(encoding="utf-8"))
    return [str(entry["designation"]) for entry in manifest.get("watch_list", [])]
