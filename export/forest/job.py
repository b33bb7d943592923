# SPDX-License-Identifier: GPL-3.0-or-later
"""The job behind the commands: from a catalogue to a published forest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.evaluation.metrics import share_in_top
from export.forest import fused_forest, isolation_forest, selection, threshold
from export.forest.isolation_forest import ForestSettings
from export.progress import Progress
from export.publishing import model_card
from export.publishing.forest_checks import GRAPH_FILE, TABLES_FILE, check_forest
from export.publishing.gate import AnomalyGate
from export.publishing.publish import MANIFEST_FILE, Manifest, Published, created_utc, libraries, staged_version
from gateway.drift import Reference

ANOMALY: Final = "neo_anomaly"


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ForestScale:
    """How much to do.

    Attributes:
        forest: that is published.
        other_seeds: of further forests, which show how far seeds agree.
    """

    forest: ForestSettings = field(default_factory=ForestSettings)
    other_seeds: tuple[int, ...] = ()


QUICK: Final = ForestScale()
FULL: Final = ForestScale(other_seeds=(12, 13))


def publish_anomaly(
    catalogue: Catalogue,
    scale: ForestScale,
    store: Path,
    version: int,
    progress: Progress,
    *,
    oddities: Mapping[str, Sequence[str]] | None = None,
    gate: AnomalyGate | None = None,
    used: Mapping[str, Any] | None = None,
    watched: NDArray[np.bool_] | None = None,
) -> Published:
    """Fit the forest to the population, fuse it, prove the fusion against scikit-learn, and publish it.

    Args:
        catalogue: the population.
        scale: how much to do.
        store: folder of published models.
        version: to publish as.
        progress: told what is being done.
        oddities: designations or numbers by kind, which should be in the top percent; only measured where given.
        gate: given the forest in memory, what the version must pass; its files alone where there is none.
        used: what a run of retraining worked with; it goes into manifest and card.
        watched: which objects of the catalogue citizens call interesting, (N,): the manifest's watch list.
    """
    progress("growing the forest", 0.0)
    columns = catalogue.objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    pipeline = isolation_forest.fit(columns, scale.forest)
    progress("fusing the forest", 0.1)
    graph = fused_forest.to_onnx(pipeline)
    trees = isolation_forest.tree_tables(pipeline)

    def expected(orbits: isolation_forest.Floats) -> dict[str, isolation_forest.Floats]:
        return {"score": isolation_forest.scores(pipeline, orbits)}

    checks = gate(expected) if gate else (check_forest,)
    with staged_version(store, ANOMALY, version, checks=checks) as folder:
        (folder / GRAPH_FILE).write_bytes(graph.SerializeToString())
        progress("scoring the population with scikit-learn and with onnxruntime", 0.2)
        scores, features = fused_forest.run(folder / GRAPH_FILE, columns)
        difference = fused_forest.check_parity(scores, isolation_forest.scores(pipeline, columns))
        population = isolation_forest.population_tables(scores, features, scale.forest)
        tables: dict[str, Any] = {**trees, **population}
        np.savez_compressed(folder / TABLES_FILE, **tables)
        progress("judging the threshold on objects held out", 0.4)
        metrics = _false_positives(columns, scores, scale.forest)
        metrics["largest_difference_from_sklearn"] = difference
        if scale.other_seeds:
            metrics["top_percent_overlap_of_seeds"] = _overlap(columns, scores, scale, progress)
        if oddities is not None and (known := selection.known_rows(catalogue.objects, oddities)).any():
            metrics["core_recall_in_top_percent"] = share_in_top(scores, scores[known], selection.TOP_FRACTION)
        manifest = Manifest(
            name=ANOMALY,
            version=version,
            variant="fused-tree-ensemble-f64",
            created_utc=created_utc(),
            training_data=asdict(catalogue.provenance),
            metrics=metrics,
            libraries=libraries("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy"),
            details={
                "score_threshold": float(population["score_threshold"]),
                "columns": list(MODEL_COLUMNS),
                "features": list(isolation_forest.FEATURE_NAMES),
                "forest": asdict(scale.forest),
                "baseline_path_length": float(trees["baseline_path_length"]),
                "population_percentiles": _percentiles(scores),
                "drift_reference": _drift_reference(features, scores).to_json(),
                "file_bytes": {name: (folder / name).stat().st_size for name in (GRAPH_FILE, TABLES_FILE)},
                **({"retraining": dict(used)} if used else {}),
                **({"watch_list": _watch_list(catalogue, scores, watched)} if watched is not None else {}),
            },
        )
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        model_card.write_card(folder, manifest)
    progress("forest published", 1.0)
    return Published(store / ANOMALY / str(version), manifest)


def _false_positives(columns: Floats, scores: Floats, settings: ForestSettings) -> dict[str, Any]:
    target = settings.false_positive_target
    away = threshold.held_out(columns, settings)
    return {
        "false_positive_target": target,
        "fraction_called_unusual": float(np.mean(scores >= threshold.threshold(scores, target))),
        "score_threshold_interval_95": list(threshold.threshold_interval(scores, target)),
        "held_out_objects": away.objects,
        "held_out_fraction_called_unusual": away.rate,
        "held_out_interval_95": list(away.interval),
    }


def _overlap(columns: Floats, scores: Floats, scale: ForestScale, progress: Progress) -> float:
    """Mean of all pairs of seeds, the published one among them."""
    by_seed = [scores]
    for number, seed in enumerate(scale.other_seeds):
        progress(f"growing a forest from seed {seed} to compare", 0.6 + 0.4 * number / len(scale.other_seeds))
        other = isolation_forest.fit(columns, replace(scale.forest, seed=seed))
        by_seed.append(isolation_forest.scores(other, columns))
    return float(np.mean(selection.overlaps(by_seed)))


def _drift_reference(features: Floats, scores: Floats) -> Reference:
    """How the population and its scores are distributed: the features in their order, then the score."""
    columns = dict(zip(isolation_forest.FEATURE_NAMES, features.T, strict=True))
    return Reference.of({**columns, "score": scores})


def _watch_list(catalogue: Catalogue, scores: Floats, watched: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """The watched objects, most unusual first, with what the forest says of them; it learnt nothing from votes."""
    percentiles = 100.0 * np.searchsorted(np.sort(scores), scores) / len(scores)
    rows = np.flatnonzero(watched)
    return [
        {
            "designation": str(catalogue.objects["designation"].iloc[row]),
            "score": float(scores[row]),
            "percentile": float(percentiles[row]),
        }
        for row in rows[np.argsort(-scores[rows], kind="stable")]
    ]


def _percentiles(scores: Floats) -> dict[str, float]:
    """The score at each of some percentiles of the population, for readers; the pod's table is finer."""
    levels = (1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
    return {f"{level:g}": float(score) for level, score in zip(levels, np.percentile(scores, levels), strict=True)}
