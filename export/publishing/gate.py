# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that stand between a staged folder and the store, in their order: cheap ones first."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import Labelled
from export.publishing import champions
from export.publishing.infra_check import Expected, Pod, Replay
from export.publishing.publish import Check

CLASSIFIER: Final = "neo_classifier"
ANOMALY: Final = "neo_anomaly"

Say = Callable[[str, float], None]
ClassifierGate: TypeAlias = Callable[[Labelled, Expected], Sequence[Check]]
"""Given the judges and the model in memory, what the staged folder must pass."""
AnomalyGate: TypeAlias = Callable[[Expected], Sequence[Check]]
"""Given the forest in memory, what the staged folder must pass."""


def population(catalogue: Catalogue) -> NDArray[np.float64]:
    """The orbits that requests are drawn from, shape (N, 6)."""
    return catalogue.objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)


def classifier_gate(
    store: Path,
    version: int,
    catalogue: Catalogue,
    pod: Pod,
    say: Say,
    serving: int | None = None,
    *,
    races: bool = False,
) -> ClassifierGate:
    """Files; 1,000 requests to a model server; the champion on the frozen set.

    Args:
        store: folder of all models.
        version: of the candidate.
        catalogue: to draw requests from; its provenance says which frozen set is meant.
        pod: a model server with nothing in its store.
        say: told what is done.
        serving: the champion's version, where labels say it.
        races: whether its latency is held against the champion's.
    """
    from export.publishing import champion_gate, frozen, network_checks, serve_network  # noqa: PLC0415 - tensorflow

    def checks(judges: Labelled, expected: Expected) -> Sequence[Check]:
        def against_champion(folder: Path) -> None:
            objects, _ = frozen.frozen_set(store, judges, catalogue.provenance)
            champion_gate.check_against_champion(folder, store, CLASSIFIER, objects, serving)

        def served(folder: Path) -> None:
            say("asking the served candidate 1,000 times", 0.0)
            orbits = population(catalogue)
            rival = champions.champion(store, CLASSIFIER, serving) if races else None
            _report(serve_network.replay_network(pod, folder, CLASSIFIER, version, expected, orbits, rival), say)

        return network_checks.check_network, served, against_champion

    return checks


def anomaly_gate(version: int, catalogue: Catalogue, pod: Pod, say: Say) -> AnomalyGate:
    """Files, graph against tables, 1,000 requests to an anomaly pod. Parity with scikit-learn is proved at the fusion.

    Args:
        version: of the candidate.
        catalogue: to draw requests from.
        pod: an anomaly pod with nothing in its store.
        say: told what is done.
    """
    from export.publishing import forest_checks, serve_forest  # noqa: PLC0415 - onnx, scikit-learn and grpc

    def checks(expected: Expected) -> Sequence[Check]:
        def served(folder: Path) -> None:
            say("asking the served candidate 1,000 times", 0.0)
            _report(serve_forest.replay_forest(pod, folder, ANOMALY, version, expected, population(catalogue)), say)

        return forest_checks.check_forest, served

    return checks


def forest_challenger_gate(
    store: Path, version: int, catalogue: Catalogue, listed: NDArray[np.float64], pod: Pod, say: Say
) -> AnomalyGate:
    """What every forest must pass, and the champion: its latency in turns, its order of the frozen objects.

    Args:
        store: folder of all models.
        version: of the candidate.
        catalogue: to draw requests from; its provenance says which frozen set is meant.
        listed: orbits that ought to look unusual, (M, 6).
        pod: an anomaly pod with nothing in its store.
        say: told what is done.
    """
    from export.classifier.learning_data import judges  # noqa: PLC0415 - as below
    from export.publishing import forest_champion_gate, forest_checks, frozen, serve_forest  # noqa: PLC0415 - onnx, grpc

    def checks(expected: Expected) -> Sequence[Check]:
        def served(folder: Path) -> None:
            say("asking the served candidate 1,000 times", 0.0)
            rival = champions.champion(store, ANOMALY)
            orbits = population(catalogue)
            _report(serve_forest.replay_forest(pod, folder, ANOMALY, version, expected, orbits, rival), say)

        def against_champion(folder: Path) -> None:
            objects, _ = frozen.frozen_set(store, judges(catalogue), catalogue.provenance)
            forest_champion_gate.check_forest_against_champion(folder, store, ANOMALY, objects, listed)

        return forest_checks.check_forest, served, against_champion

    return checks


def _report(found: Replay, say: Say) -> None:
    say(f"served {found.requests} requests, p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms", 1.0)
    if found.race is not None:
        p50, p99 = (f"{ours:.1f} ms after {theirs:.1f} ms" for ours, theirs in (found.race.p50_ms, found.race.p99_ms))
        say(f"in turns with the champion: p50 {p50}, p99 {p99}", 1.0)
