# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoencoder: its graph against numpy, a planted oddity, publishing, and the comparison with the forest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.autoencoder import report, saved_model
from export.autoencoder.autoencoder import Autoencoder, AutoencoderSettings, errors, fit, percentiles
from export.data import catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.forest.isolation_forest import ForestSettings, OrbitFeatures
from export.publishing import publish
from export.quiet_tensorflow import tf

SETTINGS = AutoencoderSettings(epochs=8)
# Retrograde, far out and huge among orbits that are alike.
ODD = np.array([[1.2, 0.97, 160.0, 10.0, 20.0, 9.0]])


def quiet(what: str, fraction: float) -> None:
    """Shows nothing."""


def crowd(count: int) -> np.ndarray:
    random = np.random.default_rng(4)
    e = random.uniform(0.1, 0.6, count)
    return np.stack(
        [random.uniform(0.6, 1.2, count), e, random.uniform(0, 20, count), *random.uniform(0, 360, (2, count)),
         random.normal(22, 2, count)], axis=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def columns() -> np.ndarray:
    return crowd(2_000)


@pytest.fixture(scope="module")
def fitted(columns: np.ndarray) -> Autoencoder:
    return fit(columns, SETTINGS, quiet)


def test_graph_features_are_the_forests(columns: np.ndarray) -> None:
    both = np.concatenate([columns, [[0.5, 1.0, 90.0, 10.0, 180.0, 20.0], [0.25, 1.2, 122.7, 24.6, 241.8, 22.1]]])
    found = saved_model.orbit_features(tf.constant(both)).numpy()
    assert found == pytest.approx(OrbitFeatures().transform(both), rel=1e-12, abs=1e-12)


def test_a_planted_oddity_stands_out(fitted: Autoencoder, columns: np.ndarray) -> None:
    population = errors(fitted, columns)
    assert errors(fitted, ODD)[0] > np.quantile(population, 0.99) > np.median(population)
    assert percentiles(fitted, errors(fitted, ODD))[0] == 100.0


def test_it_draws_again_what_it_learnt(fitted: Autoencoder, columns: np.ndarray) -> None:
    """The mean square of a standardised feature is 1: an autoencoder that learnt nothing errs by that."""
    assert errors(fitted, columns).mean() < 0.6


@pytest.mark.long
def test_a_seed_gives_the_same_numbers(fitted: Autoencoder, columns: np.ndarray) -> None:
    assert errors(fit(columns, SETTINGS, quiet), columns) == pytest.approx(errors(fitted, columns), rel=1e-4)
    other = errors(fit(columns, replace(SETTINGS, seed=12), quiet), columns)
    assert np.abs(other - errors(fitted, columns)).max() > 1e-3


def test_it_loads_back_to_the_same_numbers(fitted: Autoencoder, columns: np.ndarray, tmp_path: Path) -> None:
    saved_model.save(fitted, tmp_path)
    signature = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    (spec,) = signature.structured_input_signature[1].values()
    assert (spec.name, spec.dtype, spec.shape.as_list()) == ("orbits", tf.float64, [None, 6])
    asked = np.concatenate([columns, ODD])
    found = signature(orbits=tf.constant(asked))
    assert found["reconstruction_error"].numpy() == pytest.approx(errors(fitted, asked), rel=1e-9)
    assert found["percentile"].numpy() == pytest.approx(percentiles(fitted, errors(fitted, asked)), abs=1e-6)
    assert signature(orbits=tf.zeros((0, 6), tf.float64))["percentile"].shape == (0,)


def test_another_models_folder_is_refused(fitted: Autoencoder, columns: np.ndarray, tmp_path: Path) -> None:
    saved_model.save(replace(fitted, mean=fitted.mean + 0.01), tmp_path)
    with pytest.raises(saved_model.ParityError, match="differs"):
        saved_model.check_parity(fitted, tmp_path, columns)


def test_published_with_sums_and_manifest(tmp_path: Path) -> None:
    population = catalogue.synthetic(rows=800, seed=5)
    folder = saved_model.publish_autoencoder(population, AutoencoderSettings(epochs=2), tmp_path, 7, quiet)
    publish.verify(folder)
    assert folder == tmp_path / "neo_anomaly_autoencoder" / "7"
    assert (folder / "manifest.json").is_file()


@pytest.mark.long
def test_comparison_with_the_forest() -> None:
    population = catalogue.synthetic(rows=1_000, seed=5)
    odd = {"planted": ["synthetic 3"], "minimoon": ["synthetic 4"], "absent": ["no such object"]}
    rows = population.objects.columns.get_indexer(list(MODEL_COLUMNS))
    population.objects.iloc[3, rows] = [0.01, 0.9999, 179.0, 1.0, 1.0, 1.0]
    found = report.compare(population, odd, ForestSettings(trees=60, max_samples=256), SETTINGS, quiet)
    assert (found.objects, found.listed) == (1_000, 1)
    assert found.forest.recall == found.autoencoder.recall == 1.0
    assert 0.0 <= found.autoencoder.seed_overlap <= 1.0
    assert found.rank_correlation > 0.0
    page = report.to_markdown(found, "a test")
    assert "listed objects in the top 1 % | 1.000 | 1.000" in page
    nothing = replace(found, listed=0)
    assert "no list given" in report.to_markdown(nothing, "a test")
