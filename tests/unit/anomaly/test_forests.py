# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is in the store's folder: a pod serves the newest good forests, or keeps those it had."""

import hashlib
import shutil

import numpy as np
import onnx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.anomaly.forests import Forests
from gateway.anomaly.scorer import Forest, Unusable
from gateway.serving.checksums import NotWhole
from gateway.serving.errors import BackendUnavailable, ModelNotFound
from orrery.inference import v1
from tests.pods import PROJECT_ROOT

STORE = PROJECT_ROOT / "var" / "models" / "neo_anomaly"
NEWEST = v1.ModelSelector()


@pytest.fixture(scope="module")
def folder():
    versions = sorted((path for path in STORE.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))
    if not versions:
        pytest.fail("no models: run `make models` first (`make test` does)")
    return versions[-1]


def copied(folder, tmp_path, version=1):
    target = tmp_path / str(version)
    shutil.copytree(folder, target)
    return target


def write_sums(folder):
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


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


def leave_out_of_sums(folder):
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in lines if "forest.npz" not in line))


@pytest.mark.parametrize("damage", [truncate, lose, lose_sums, garble_sums, point_outside, leave_out_of_sums])
def test_a_folder_that_is_not_whole_is_refused(folder, tmp_path, damage):
    broken = copied(folder, tmp_path)
    damage(broken)
    with pytest.raises((NotWhole, FileNotFoundError)):
        Forest(broken)


def cut(name, left):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * left)])

    return damage


def fill(name, content):
    def damage(folder):
        (folder / name).write_bytes(content)

    return damage


def edit_tables(change):
    def damage(folder):
        with np.load(folder / "forest.npz") as tables:
            arrays = dict(tables)
        change(arrays)
        np.savez_compressed(folder / "forest.npz", **arrays)

    return damage


def set_table(name, value):
    return edit_tables(lambda arrays: arrays.update({name: value(arrays[name])}))


def make_chain(arrays):
    """One tree, a split to the left of each split: a walk of it would need more stack than a thread has."""
    count = 200_000
    left = np.arange(1, count + 1, dtype=np.int32)
    left[-1] = -1
    right = np.where(left >= 0, count, -1).astype(np.int32)
    arrays.update(children_left=left[None], children_right=right[None], feature=np.zeros((1, count), np.int32))
    arrays.update(threshold=np.zeros((1, count)), expected_path_length=np.ones((1, count)))
    arrays["n_node_samples"] = np.arange(count, 0, -1, dtype=np.int32)[None]


def share_children(arrays):
    """Both children of each split are the next split: a walk of 60 levels would take 2^60 steps."""
    children = np.arange(1, 61, dtype=np.int32)
    children[-1] = -1
    arrays.update(children_left=children[None], children_right=children[None], feature=np.zeros((1, 60), np.int32))
    arrays.update(threshold=np.zeros((1, 60)), expected_path_length=np.ones((1, 60)))
    arrays["n_node_samples"] = np.arange(60, 0, -1, dtype=np.int32)[None]


def rename_output(folder):
    graph = onnx.load(folder / "forest.onnx")
    for node in graph.graph.node:
        node.output[:] = ["renamed" if name == "score" else name for name in node.output]
    for output in graph.graph.output:
        output.name = "renamed" if output.name == "score" else output.name
    onnx.save(graph, folder / "forest.onnx")


DAMAGES = {
    "tables cut": cut("forest.npz", 0.5),
    "tables cut late": cut("forest.npz", 0.97),
    "tables empty": fill("forest.npz", b""),
    "tables are text": fill("forest.npz", b"nothing of the kind"),
    "tables are one array": fill("forest.npz", b"\x93NUMPY\x01\x00"),
    "a table missing": edit_tables(lambda arrays: arrays.pop("threshold")),
    "children of another shape": set_table("children_left", lambda table: table[:, :3]),
    "children far away": set_table("children_left", lambda table: table + 1_000_000),
    "no samples": set_table("n_node_samples", lambda table: table * 0),
    "tables of text": set_table("threshold", lambda table: np.char.add("x", table.astype(str))),
    "other trees": set_table("expected_path_length", lambda table: table * 2.0),
    "paths without a length": set_table("expected_path_length", lambda table: table * np.nan),
    "threshold is no number": set_table("score_threshold", lambda table: table * np.nan),
    "quantiles fall": set_table("quantile_scores", lambda table: table[::-1]),
    "quantiles are no numbers": set_table("quantile_scores", lambda table: table * np.nan),
    "quantiles of two lengths": set_table("quantile_levels", lambda table: table[:-1]),
    "a chain of 200,000 levels": edit_tables(make_chain),
    "children of two parents": edit_tables(share_children),
    "nine features": set_table("feature_names", lambda names: np.append(names, ["eighth", "ninth"])),
    "graph cut": cut("forest.onnx", 0.5),
    "graph empty": fill("forest.onnx", b""),
    "output renamed": rename_output,
    "manifest cut": cut("manifest.json", 0.5),
    "manifest is a list": fill("manifest.json", b"[]"),
    "manifest is null": fill("manifest.json", b"null"),
    "manifest is nested": fill("manifest.json", b"[" * 100_000),
    "manifest is no text": fill("manifest.json", b"\xff\xfe"),
    "manifest says nothing": fill("manifest.json", b"{}"),
    "training data is a text": fill("manifest.json", b'{"variant": "a", "training_data": "b"}'),
    "drift reference is a text": fill(
        "manifest.json", b'{"variant": "a", "training_data": {"description": "b"}, "drift_reference": {"a": 3}}'
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_forest_with_right_sums_leaves_the_old_one_serving(folder, tmp_path, damage):
    copied(folder, tmp_path, version=1)
    forests = Forests(tmp_path, kept_versions=1)
    forests.refresh()
    broken = copied(folder, tmp_path, version=2)
    damage(broken)
    write_sums(broken)
    with pytest.raises(Unusable):
        Forest(broken)
    forests.refresh()
    assert forests.choose(NEWEST).version == 1
    # A pod that starts now.
    forests = Forests(tmp_path, kept_versions=1)
    forests.refresh()
    assert forests.choose(NEWEST).version == 1


def test_the_newest_good_versions_are_served(folder, tmp_path):
    forests = Forests(tmp_path / "store", kept_versions=2)
    forests.refresh()
    assert not forests.ready
    with pytest.raises(BackendUnavailable):
        forests.choose(NEWEST)
    for version in (1, 2, 3, 4):
        copied(folder, tmp_path / "store", version)
    for version in (3, 4):
        lose(tmp_path / "store" / str(version))
    forests.refresh()
    assert [forests.choose(v1.ModelSelector(version=version)).version for version in (1, 2)] == [1, 2]
    copied(folder, tmp_path / "store", version=5)
    forests.refresh()
    assert [forests.choose(v1.ModelSelector(version=version)).version for version in (2, 5)] == [2, 5]
    assert forests.choose(NEWEST).version == 5
    for version in (1, 3):
        with pytest.raises(ModelNotFound):
            forests.choose(v1.ModelSelector(version=version))


def test_a_version_that_is_taken_away_is_served_no_more_while_another_can_be(folder, tmp_path):
    for version in (1, 2):
        copied(folder, tmp_path, version)
    forests = Forests(tmp_path, kept_versions=1)
    forests.refresh()
    shutil.rmtree(tmp_path / "2")
    forests.refresh()
    assert forests.choose(NEWEST).version == 1


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(shutil.rmtree, id="no store"),
        pytest.param(lambda store: shutil.rmtree(store / "1"), id="empty store"),
        pytest.param(lambda store: (lose(store / "2"), shutil.rmtree(store / "1")), id="none is good"),
        pytest.param(lambda store: (shutil.rmtree(store), store.write_text("a file")), id="a file"),
    ],
)
def test_without_a_good_forest_those_loaded_stay(folder, tmp_path, spoil):
    store = tmp_path / "store"
    copied(folder, store, version=1)
    forests = Forests(store, kept_versions=2)
    forests.refresh()
    copied(folder, store, version=2)
    truncate(store / "2")
    with capture_logs() as logs:
        spoil(store)
        for _ in range(3):
            forests.refresh()
            assert forests.choose(NEWEST).version == 1
    assert [line.get("instead") for line in logs].count("those loaded serve on") == 1


def refused_versions():
    return REGISTRY.get_sample_value("orrery_anomaly_model_refused_total")


def test_a_refused_version_is_looked_at_again_when_it_changes(folder, tmp_path):
    forests = Forests(tmp_path, kept_versions=1)
    half = tmp_path / "1"
    half.mkdir()
    shutil.copy(folder / "SHA256SUMS", half)
    before = refused_versions()
    for _ in range(3):
        forests.refresh()
    assert not forests.ready
    assert refused_versions() == before + 1
    shutil.copytree(folder, half, dirs_exist_ok=True)
    forests.refresh()
    assert forests.choose(NEWEST).version == 1


def test_folders_that_are_no_versions_are_left_alone(folder, tmp_path):
    copied(folder, tmp_path, version=1)
    for name in ("02", "-3", "+4", "\u0665", str(2**63), "1e3", "latest"):
        copied(folder, tmp_path, version=name)
    (tmp_path / "9").write_text("a file")
    forests = Forests(tmp_path, kept_versions=9)
    forests.refresh()
    assert forests.choose(NEWEST).version == 1
