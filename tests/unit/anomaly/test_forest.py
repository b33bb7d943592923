# SPDX-License-Identifier: GPL-3.0-or-later
"""The published forest's scores, as the pod sees it."""

import numpy as np
import pytest

from gateway.anomaly.scorer import Forest
from tests.pods import PROJECT_ROOT

STORE = PROJECT_ROOT / "var" / "models" / "neo_anomaly"


@pytest.fixture(scope="module")
def folder():
    versions = sorted((path for path in STORE.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))
    if not versions:
        pytest.fail("no models: run `make models` first (`make test` does)")
    return versions[-1]


@pytest.fixture(scope="module")
def forest(folder):
    return Forest(folder)


def random_orbits(count):
    rng = np.random.default_rng(5)
    high = np.array([1.3, 0.95, 60.0, 360.0, 360.0, 14.0])
    return np.array([0.2, 0.0, 0.0, 0.0, 0.0, 15.0]) + rng.random((count, 6)) * (high - [0.2, 0, 0, 0, 0, 0])


def test_rows_do_not_depend_on_their_company(forest):
    orbits = random_orbits(50)
    together = forest.score(orbits)
    alone = np.concatenate([forest.score(orbits[[row]]).score for row in range(50)])
    assert together.score.tolist() == alone.tolist()
    assert np.all((together.score > 0) & (together.score < 1))
    assert np.all((together.percentile >= 0) & (together.percentile <= 100))


def test_many_rows_are_scored_in_pieces_and_keep_their_order(forest):
    orbits = random_orbits(5_000)
    assert len(list(forest.score_in_pieces(orbits))) == 3
    shared = forest.score(orbits)
    assert shared.score.tolist() == np.concatenate([forest.score(part).score for part in np.split(orbits, 5)]).tolist()
    assert (shared.features == np.concatenate([forest.score(part).features for part in np.split(orbits, 5)])).all()


def test_percentiles_rise_with_the_score(forest):
    said = forest.score(random_orbits(300))
    order = np.argsort(said.score)
    assert np.all(np.diff(said.percentile[order]) >= 0)
