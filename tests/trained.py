# SPDX-License-Identifier: GPL-3.0-or-later
"""A synthetic catalogue and two tiny models, trained once for all tests of a process that ask for them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from export.data import catalogue
    from export.publishing.publish import Published

TINY_ORBITS = 12_000
TINY_VERSION = 20260101000000


def quiet(what: str, fraction: float) -> None:
    """A progress display that shows nothing."""


@pytest.fixture(scope="session")
def tiny_catalogue() -> "catalogue.Catalogue":
    from export.data import catalogue

    return catalogue.synthetic(rows=3_000, seed=5)


@pytest.fixture(scope="session")
def tiny_models(
    tiny_catalogue: "catalogue.Catalogue", tmp_path_factory: pytest.TempPathFactory
) -> "dict[str, Published]":
    """Both models, trained for seconds on synthetic orbits and published."""
    from export.classifier import job as network
    from export.classifier.training import Training
    from export.forest import job as forest
    from export.forest.isolation_forest import ForestSettings

    store: Path = tmp_path_factory.mktemp("store")
    training = Training(epochs=6, pruning_epochs=2, batch_rows=256)
    network_scale = network.ClassifierScale(TINY_ORBITS, training, resamples=20)
    forest_scale = forest.ForestScale(ForestSettings(trees=40, max_samples=512))
    return {
        "neo_anomaly": forest.publish_anomaly(tiny_catalogue, forest_scale, store, TINY_VERSION, quiet),
        "neo_classifier": network.publish_classifier(tiny_catalogue, network_scale, store, TINY_VERSION, quiet),
    }
