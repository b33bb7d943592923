# SPDX-License-Identifier: GPL-3.0-or-later
"""The published forest as the pod sees it: scores, and folders that are not whole."""

import shutil

import numpy as np
import pytest

from gateway.anomaly.forests import Forests
from gateway.anomaly.scorer import Forest
from gateway.serving.checksums import NotWhole
from gateway.serving.errors import BackendUnavailable, ModelNotFound
from orrery.inference import v1
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


def copied(folder, tmp_path, version=1):
    target = tmp_path / str(version)
    shutil.copytree(folder, target)
    return target


def truncate(folder):
    path = folder / "forest.onnx"
    path.write_bytes(path.read_bytes()[:1000])


def lose(folder):
    (folder / "forest.npz").unlink()


def lose_sums(folder):
    (folder / "SHA256SUMS").unlink()


def garble_sums(folder):
    (folder / "SHA256SUMS").write_bytes(b"\xff\xfe\x00")


def point_outside(folder):
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../../etc/passwd\n")


@pytest.mark.parametrize("damage", [truncate, lose, lose_sums, garble_sums, point_outside])
def test_a_folder_that_is_not_whole_is_refused(folder, tmp_path, damage):
    broken = copied(folder, tmp_path)
    damage(broken)
    with pytest.raises((NotWhole, FileNotFoundError)):
        Forest(broken)


def test_a_broken_newer_version_leaves_the_old_one_serving(folder, tmp_path):
    copied(folder, tmp_path, version=1)
    forests = Forests(tmp_path, kept_versions=1)
    assert not forests.ready
    with pytest.raises(BackendUnavailable):
        forests.choose(v1.ModelSelector())
    forests.refresh()
    assert forests.choose(v1.ModelSelector()).version == 1
    truncate(copied(folder, tmp_path, version=2))
    forests.refresh()
    forests.refresh()
    assert forests.choose(v1.ModelSelector()).version == 1
    copied(folder, tmp_path, version=3)
    forests.refresh()
    assert forests.choose(v1.ModelSelector()).version == 3
    with pytest.raises(ModelNotFound):
        forests.choose(v1.ModelSelector(version=1))
