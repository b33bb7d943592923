# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs behind the commands: from a catalogue to two published models."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.classifier import compress, saved_model
from export.classifier.compress import Variant
from export.classifier.training import Network, Training, train
from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import (
    CLASSES,
    FIRST_YEAR_OF_TEST,
    SYNTHETIC_SEED,
    Labelled,
    Split,
    concatenate,
    flat_orbits,
    label,
    split_at_random,
    split_by_year,
)
from export.evaluation import metrics
from export.forest import fused_forest, isolation_forest
from export.forest.isolation_forest import ForestSettings
from export.publishing import model_card
from export.publishing.gate import AnomalyGate, ClassifierGate
from export.publishing.publish import MANIFEST_FILE, Manifest, Published, created_utc, libraries, staged_version

CLASSIFIER: Final = "neo_classifier"
ANOMALY: Final = "neo_anomaly"
FOREST_FILE: Final = "forest.onnx"
TABLES_FILE: Final = "forest.npz"

_SPLIT_SEED: Final = 3
# Another population than the one that stands in for a missing catalogue, so that nothing is both learnt and judged.
_FLAT_SEED: Final = SYNTHETIC_SEED + 2

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction of it that is done."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to train: the size of the synthetic population and the schedules of both models."""

    synthetic_orbits: int
    training: Training
    forest: ForestSettings


QUICK: Final = Scale(200_000, Training(epochs=24, pruning_epochs=5), ForestSettings())
FULL: Final = Scale(2_000_000, Training(epochs=60, pruning_epochs=12, batch_rows=1024), ForestSettings())


def publish_classifier(
    catalogue: Catalogue,
    scale: Scale,
    store: Path,
    version: int,
    progress: Progress,
    gate: ClassifierGate | None = None,
) -> Published:
    """Train, prune, quantise, judge by date and publish the network.

    Its judges are the objects first reported from `FIRST_YEAR_OF_TEST` on, which it never saw.
    """
    progress("labelling orbits", 0.0)
    split, judges = _training_data(catalogue, scale.synthetic_orbits)
    dense, pruned = train(split, scale.training, progress)
    progress("compressing and judging", 0.0)
    variant, threshold, comparison = _choose_variant(pruned, split.validation)
    model = _model(pruned, variant, threshold, catalogue)
    manifest = Manifest(
        name=CLASSIFIER,
        version=version,
        variant=variant,
        created_utc=created_utc(),
        training_data=asdict(catalogue.provenance),
        metrics={
            "by_date": _measure(model, judges, threshold),
            "by_date_before_pruning": _measure(_model(dense, Variant.F32, threshold, catalogue), judges, threshold),
            "random_split": _measure(model, split.test, threshold),
        },
        libraries=libraries("tensorflow", "tf-keras", "tensorflow-model-optimization", "numpy"),
        details={
            "threshold": threshold,
            "columns": list(MODEL_COLUMNS),
            "classes": [orbit_class.name for orbit_class in CLASSES],
            "by_date_first_year": FIRST_YEAR_OF_TEST,
            "sparsity": pruned.sparsity,
            "training": asdict(scale.training),
            "training_orbits": {"real": int(split.train.real.sum()), "synthetic": int((~split.train.real).sum())},
            "variants": comparison,
        },
    )
    checks = gate(judges, partial(saved_model.predict_columns, model)) if gate else ()
    with staged_version(store, CLASSIFIER, version, checks=checks) as folder:
        saved_model.save(model, CLASSIFIER, folder)
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        model_card.write_card(folder, manifest)
    progress("network published", 1.0)
    return Published(store / CLASSIFIER / str(version), manifest)


def _training_data(catalogue: Catalogue, synthetic_orbits: int) -> tuple[Split, Labelled]:
    """What to learn from: known earlier, and the flat population; and the later objects to be judged by."""
    real = catalogue.provenance.kind != "synthetic"
    earlier, later = split_by_year(catalogue.objects, FIRST_YEAR_OF_TEST)
    flat = label(flat_orbits(synthetic_orbits, _FLAT_SEED), real=False)
    return split_at_random(concatenate(label(earlier, real=real), flat), _SPLIT_SEED), label(later, real=real)


def _model(network: Network, variant: Variant, threshold: float, catalogue: Catalogue) -> saved_model.NeoClassifier:
    provenance = catalogue.provenance
    return saved_model.NeoClassifier(
        network, compress.pack(network, variant), threshold, variant, f"{provenance.kind}: {provenance.description}"
    )


def _choose_variant(pruned: Network, validation: Labelled) -> tuple[Variant, float, dict[str, Any]]:
    """The smallest variant that passes the parity gate, its threshold, and the comparison of all.

    The threshold is the one of the largest F1 among real objects, where there are any.
    """
    rows = validation.real if validation.hazardous[validation.real].any() else np.ones(len(validation), np.bool_)
    precisions, sizes, thresholds = {}, {}, {}
    for variant in Variant:
        layers = compress.pack(pruned, variant)
        answers = saved_model.predict_columns(
            saved_model.NeoClassifier(pruned, layers, 0.5, variant, ""), validation.columns
        )
        probability = answers["pha_probability"]
        precisions[variant] = metrics.hazard_metrics(validation.hazardous, probability, 0.5)["average_precision"]
        sizes[variant] = compress.weight_bytes(layers)
        thresholds[variant] = metrics.best_f1_threshold(validation.hazardous[rows], probability[rows])
    chosen = compress.choose(precisions, {variant: size["gzip"] for variant, size in sizes.items()})
    comparison = {
        str(variant): {"weight_bytes": sizes[variant], "validation_average_precision": precisions[variant]}
        for variant in Variant
    }
    return chosen, thresholds[chosen], comparison


def _measure(model: saved_model.NeoClassifier, data: Labelled, threshold: float) -> dict[str, Any]:
    answers = saved_model.predict_columns(model, data.columns)
    return metrics.classifier_metrics(data.columns, data.hazardous, data.orbit_class, answers, threshold)


def publish_anomaly(
    catalogue: Catalogue,
    scale: Scale,
    store: Path,
    version: int,
    progress: Progress,
    gate: AnomalyGate | None = None,
) -> Published:
    """Fit the forest to the population, fuse it, prove the fusion against scikit-learn, and publish it."""
    progress("growing the forest", 0.0)
    columns = catalogue.objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    pipeline = isolation_forest.fit(columns, scale.forest)
    progress("fusing the forest", 0.3)
    graph = fused_forest.to_onnx(pipeline)
    trees = isolation_forest.tree_tables(pipeline)

    def expected(orbits: isolation_forest.Floats) -> dict[str, isolation_forest.Floats]:
        return {"score": isolation_forest.scores(pipeline, orbits)}

    with staged_version(store, ANOMALY, version, checks=gate(expected) if gate else ()) as folder:
        (folder / FOREST_FILE).write_bytes(graph.SerializeToString())
        progress("scoring the population with scikit-learn and with onnxruntime", 0.5)
        scores, features = fused_forest.run(folder / FOREST_FILE, columns)
        difference = fused_forest.check_parity(scores, isolation_forest.scores(pipeline, columns))
        population = isolation_forest.population_tables(scores, features, scale.forest)
        tables: dict[str, Any] = {**trees, **population}
        np.savez_compressed(folder / TABLES_FILE, **tables)
        threshold = float(population["score_threshold"])
        manifest = Manifest(
            name=ANOMALY,
            version=version,
            variant="fused-tree-ensemble-f64",
            created_utc=created_utc(),
            training_data=asdict(catalogue.provenance),
            metrics={
                "largest_difference_from_sklearn": difference,
                "fraction_called_unusual": float(np.mean(scores >= threshold)),
            },
            libraries=libraries("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy"),
            details={
                "score_threshold": threshold,
                "columns": list(MODEL_COLUMNS),
                "features": list(isolation_forest.FEATURE_NAMES),
                "forest": asdict(scale.forest),
                "baseline_path_length": float(trees["baseline_path_length"]),
                "file_bytes": {name: (folder / name).stat().st_size for name in (FOREST_FILE, TABLES_FILE)},
            },
        )
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        model_card.write_card(folder, manifest)
    progress("forest published", 1.0)
    return Published(store / ANOMALY / str(version), manifest)
