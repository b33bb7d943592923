# SPDX-License-Identifier: GPL-3.0-or-later
"""What the export's tests share: rows of the kinds catalogues really hold, and one tiny model published for all."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from export.data import catalogue
from export.publishing.publish import Published
from tests.unit.export.local_service import Answer, LocalService

TINY_ORBITS = 12_000


def quiet(what: str, fraction: float) -> None:
    """A progress display that shows nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[..., LocalService]]:
    """Starts real HTTP servers on loopback, each with its answers."""
    with ExitStack() as stack:

        def start(*answers: Answer | Callable[..., Answer]) -> LocalService:
            return stack.enter_context(LocalService(answers))

        yield start


@pytest.fixture(scope="session")
def tiny_catalogue() -> catalogue.Catalogue:
    return catalogue.synthetic(rows=3_000, seed=5)


@pytest.fixture(scope="session")
def tiny_models(tiny_catalogue: catalogue.Catalogue, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """Both models, trained for seconds on synthetic orbits and published."""
    from export.classifier import job as network
    from export.classifier.training import Training
    from export.forest import job as forest
    from export.forest.isolation_forest import ForestSettings

    store: Path = tmp_path_factory.mktemp("store")
    version = 20260101000000
    training = Training(epochs=6, pruning_epochs=2, batch_rows=256)
    network_scale = network.ClassifierScale(TINY_ORBITS, training, resamples=20)
    forest_scale = forest.ForestScale(ForestSettings(trees=40, max_samples=512))
    return {
        "neo_anomaly": forest.publish_anomaly(tiny_catalogue, forest_scale, store, version, quiet),
        "neo_classifier": network.publish_classifier(tiny_catalogue, network_scale, store, version, quiet),
    }
