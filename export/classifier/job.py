# SPDX-License-Identifier: GPL-3.0-or-later
"""The classifier's job: from a catalogue to a published, measured network."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from export.classifier import calibration, compress, saved_model
from export.classifier.compress import Variant
from export.classifier.cross_validation import cross_validate
from export.classifier.learning_data import training_data
from export.classifier.training import Network, Training, train
from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import (
    CLASSES,
    FIRST_YEAR_OF_TEST,
    Labelled,
    Split,
    concatenate,
)
from export.evaluation import bootstrap, champion, comparison, figures, metrics, peers, report
from export.evaluation.report import ClassifierReport
from export.progress import Progress
from export.publishing import model_card, publish
from export.publishing.publish import MANIFEST_FILE, Check, Manifest, Published
from gateway.drift import Reference

CLASSIFIER: Final = "neo_classifier"
FIGURES_FOLDER: Final = "figures"


Gate: TypeAlias = Callable[[Labelled, Callable[[NDArray[np.float64]], dict[str, NDArray[Any]]]], Sequence[Check]]
"""Given the judges and the model in memory, what the staged folder must pass before it is published."""


@dataclass(frozen=True, slots=True)
class ClassifierScale:
    """How much to train and to measure.

    Attributes:
        synthetic_orbits: flat ones, beside the real objects.
        training: the schedule.
        resamples: of the bootstrap.
        fold_rows: of the training population to cross-validate on; 0 for none.
        peers: whether other kinds of model are trained on the same data and compared.
    """

    synthetic_orbits: int
    training: Training
    resamples: int = bootstrap.RESAMPLES
    fold_rows: int = 0
    peers: bool = False


QUICK: Final = ClassifierScale(150_000, Training(epochs=20, pruning_epochs=4), resamples=400)
FULL: Final = ClassifierScale(
    600_000, Training(epochs=30, pruning_epochs=6, batch_rows=1024), fold_rows=120_000, peers=True
)


def publish_classifier(
    catalogue: Catalogue,
    scale: ClassifierScale,
    store: Path,
    version: int,
    progress: Progress,
    gate: Gate | None = None,
    *,
    checkpoints: Path | None = None,
    into: Path | None = None,
    used: Mapping[str, Any] | None = None,
) -> Published:
    """Train, prune, calibrate, quantise, judge by date and publish the network.

    Its judges are the objects first reported from `FIRST_YEAR_OF_TEST` on, which nothing here learns from or chooses
    by.

    Args:
        catalogue: to learn from and to be judged by.
        scale: how much of everything.
        store: the folder of published models.
        version: to publish as.
        progress: told what is done.
        gate: what must pass before it is published; None for nothing but sums.
        checkpoints: a folder to keep the state of training in; a run that was broken off goes on from there.
        into: where to publish, if not into the store.
        used: what a run of retraining worked with; it goes into manifest and card.

    Raises:
        export.publishing.publish.VersionExistsError: the version is already there.
        export.publishing.publish.RefusedError: it does not pass the gate.
        OSError: it cannot be written.
    """
    progress("labelling orbits", 0.0)
    split, judges = training_data(catalogue, scale.synthetic_orbits)
    kept = None if checkpoints is None else checkpoints / _fingerprint(catalogue, scale)
    dense, pruned = train(split, scale.training, progress, kept)
    progress("calibrating and compressing", 0.0)
    temperature = calibration.temperature(split.validation.hazardous, pruned.logits(split.validation.columns)[0])
    network = pruned.with_temperature(temperature)
    variant, threshold, variants = _choose_variant(network, split.validation)
    model = _model(network, variant, threshold, catalogue)
    progress("judging", 0.0)
    reference = drift_reference(model, catalogue)
    model = _model(network, variant, threshold, catalogue, reference.dumps())
    answers = saved_model.predict_columns(model, judges.columns)
    probability = answers["pha_probability"]
    intervals, by_chance = report.uncertainty(judges, probability, threshold, scale.resamples)
    measured = ClassifierReport(
        by_date=metrics.classifier_metrics(judges.columns, judges.hazardous, judges.orbit_class, answers, threshold),
        by_date_before_pruning=_measure(_model(dense, Variant.F32, threshold, catalogue), judges, threshold),
        random_split=_measure(model, split.test, threshold),
        intervals=intervals,
        calibration_error_by_chance=by_chance,
        curves=report.curves(judges, probability),
        history=list(pruned.history),
        temperature=temperature,
        threshold=threshold,
        first_year=FIRST_YEAR_OF_TEST,
        resamples=scale.resamples,
        comparisons=_comparisons(store, version, scale, split, judges, (probability, threshold), progress),
        folds=_folds(scale, split, progress),
    )
    manifest = Manifest(
        name=CLASSIFIER,
        version=version,
        variant=variant,
        created_utc=publish.created_utc(),
        training_data=asdict(catalogue.provenance),
        metrics=measured.to_metrics(),
        libraries=publish.libraries("tensorflow", "tf-keras", "tensorflow-model-optimization", "numpy"),
        details={
            "threshold": threshold,
            "columns": list(MODEL_COLUMNS),
            "classes": [orbit_class.name for orbit_class in CLASSES],
            "by_date_first_year": FIRST_YEAR_OF_TEST,
            "sparsity": pruned.sparsity,
            "weights": pruned.weights,
            "training": asdict(scale.training),
            "training_orbits": {"real": int(split.train.real.sum()), "synthetic": int((~split.train.real).sum())},
            "variants": variants,
            "drift_reference": reference.to_json(),
            **({"retraining": dict(used)} if used else {}),
        },
    )
    checks = gate(judges, partial(saved_model.predict_columns, model)) if gate else ()
    destination = store if into is None else into
    with publish.staged_version(destination, CLASSIFIER, version, checks=checks) as folder:
        saved_model.save(model, CLASSIFIER, folder)
        drawn = figures.write(folder / FIGURES_FOLDER, measured)
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        model_card.write_card(folder, manifest, drawn)
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)
    progress("network published", 1.0)
    return Published(destination / CLASSIFIER / str(version), manifest)


def _fingerprint(catalogue: Catalogue, scale: ClassifierScale) -> str:
    """Tells apart what may not go on from each other's checkpoints."""
    recipe = f"{catalogue.provenance.sha256} {scale.synthetic_orbits} {scale.training}"
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def drift_reference(model: saved_model.NeoClassifier, catalogue: Catalogue) -> Reference:
    """How the catalogue and the answers to it are distributed, in the order of `gateway.front.drift.FEATURES`."""
    columns = catalogue.objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    answers = saved_model.predict_columns(model, columns)
    features: dict[str, NDArray[Any]] = dict(zip(MODEL_COLUMNS, columns.T, strict=True))
    features["pha_probability"] = answers["pha_probability"]
    features["orbit_class"] = answers["class_probabilities"].argmax(axis=1)
    return Reference.of(features)


def _model(
    network: Network, variant: Variant, threshold: float, catalogue: Catalogue, reference: str = ""
) -> saved_model.NeoClassifier:
    provenance = catalogue.provenance
    return saved_model.NeoClassifier(
        network,
        compress.pack(network, variant),
        threshold,
        variant,
        f"{provenance.kind}: {provenance.description}",
        reference,
    )


def _choose_variant(network: Network, validation: Labelled) -> tuple[Variant, float, dict[str, Any]]:
    """The smallest variant that passes the parity gate, its threshold, and the comparison of all.

    The threshold is the one of the largest F1 among real objects, where there are any.
    """
    rows = validation.real if validation.hazardous[validation.real].any() else np.ones(len(validation), np.bool_)
    precisions, sizes, thresholds = {}, {}, {}
    for variant in Variant:
        layers = compress.pack(network, variant)
        answers = saved_model.predict_columns(
            saved_model.NeoClassifier(network, layers, 0.5, variant, ""), validation.columns
        )
        probability = answers["pha_probability"]
        precisions[variant] = metrics.hazard_metrics(validation.hazardous, probability, 0.5)["average_precision"]
        sizes[variant] = compress.weight_bytes(layers)
        thresholds[variant] = metrics.best_f1_threshold(validation.hazardous[rows], probability[rows])
    chosen = compress.choose(precisions, {variant: size["gzip"] for variant, size in sizes.items()})
    table = {
        str(variant): {"weight_bytes": sizes[variant], "validation_average_precision": precisions[variant]}
        for variant in Variant
    }
    return chosen, thresholds[chosen], table


def _measure(model: saved_model.NeoClassifier, data: Labelled, threshold: float) -> dict[str, Any]:
    answers = saved_model.predict_columns(model, data.columns)
    return metrics.classifier_metrics(data.columns, data.hazardous, data.orbit_class, answers, threshold)


def _comparisons(
    store: Path,
    version: int,
    scale: ClassifierScale,
    split: Split,
    judges: Labelled,
    ours: tuple[comparison.Floats, float],
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """With the version published before, and with the peers where the scale asks for them.

    A previous version that is damaged is said to be so instead of stopping a good one.
    """
    found: dict[str, dict[str, Any]] = {}
    if judges.hazardous.all() or not judges.hazardous.any():
        return found
    others = peers.predictions(split, judges, progress) if scale.peers else {}
    older = champion.previous_version(store, CLASSIFIER, version)
    if older is not None:
        name = f"version {older}"
        try:
            others[name] = champion.probabilities(store / CLASSIFIER / str(older), judges.columns)
        except publish.IntegrityError as error:
            found[name] = {"refused": str(error)}
    for name, theirs in others.items():
        found[name] = {
            part: comparison.compare(
                judges.hazardous[rows], (ours[0][rows], ours[1]), (theirs[0][rows], theirs[1]), scale.resamples
            )
            for part, rows in report.parts(judges).items()
        }
    return found


def _folds(scale: ClassifierScale, split: Split, progress: Progress) -> list[dict[str, Any]]:
    if not scale.fold_rows:
        return []
    # Rows of the split are in random order already; the real ones are too few to be thinned.
    population = concatenate(split.train, split.validation)
    real, flat = np.flatnonzero(population.real), np.flatnonzero(~population.real)
    rows = np.concatenate([real, flat[: max(scale.fold_rows - len(real), 0)]])
    return cross_validate(population.take(rows), scale.training, progress)
