# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates in front of the store: the champion, the frozen set, what killed publishers leave, the numbers' history."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from export.data import catalogue, dataset
from export.data.dataset import Labelled
from export.publishing import champion_gate, frozen, history, publish
from export.publishing.publish import Published, RefusedError

VERSION = 20260101000000


@pytest.fixture(scope="module")
def judges() -> Labelled:
    return dataset.label(dataset.flat_orbits(4_000, 99), real=False)


@pytest.fixture
def store(tiny_models: dict[str, Published], tmp_path: Path) -> Path:
    """A store of its own with the tiny classifier as champion."""
    folder = tiny_models["neo_classifier"].folder
    shutil.copytree(folder, tmp_path / "neo_classifier" / folder.name)
    return tmp_path


def candidate(store: Path, training_kind: str | None = None) -> Path:
    """A copy of the champion, not published."""
    folder = store / "candidate"
    shutil.copytree(store / "neo_classifier" / str(VERSION), folder)
    if training_kind is not None:
        set_kind(folder, training_kind)
    return folder


def set_kind(folder: Path, kind: str) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["training_data"]["kind"] = kind
    path.write_text(json.dumps(content))
    publish.write_sums(folder)


def damage_answers(folder: Path) -> None:
    """Turn the hazard head round: weights stay finite, answers get worse."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for function in model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op != "Const":
                # Reading an attribute that is not there would add it.
                continue
            tensor = node.attr["value"].tensor
            if len(tensor.tensor_shape.dim) == 2 and tensor.tensor_shape.dim[1].size == 1:
                tensor.CopyFrom(tf.make_tensor_proto(-tf.make_ndarray(tensor)))
                path.write_bytes(model.SerializeToString())
                return
    raise AssertionError("no hazard head in the graph")


def test_the_first_version_needs_no_champion(tmp_path: Path, judges: Labelled) -> None:
    champion_gate.check_against_champion(tmp_path / "candidate", tmp_path, "neo_classifier", judges)


def test_an_equal_candidate_passes(store: Path, judges: Labelled) -> None:
    champion_gate.check_against_champion(candidate(store), store, "neo_classifier", judges)


def test_a_worse_candidate_is_refused_with_the_numbers(store: Path, judges: Labelled) -> None:
    folder = candidate(store)
    damage_answers(folder)
    with pytest.raises(RefusedError, match=r"worse than the champion, version \d+: average precision \(all\)"):
        champion_gate.check_against_champion(folder, store, "neo_classifier", judges)


def test_synthetic_never_replaces_real(store: Path, judges: Labelled) -> None:
    folder = candidate(store)
    set_kind(store / "neo_classifier" / str(VERSION), "catalogue")
    with pytest.raises(RefusedError, match="the candidate from synthetic orbits"):
        champion_gate.check_against_champion(folder, store, "neo_classifier", judges)


def test_real_may_replace_synthetic(store: Path, judges: Labelled) -> None:
    champion_gate.check_against_champion(candidate(store, "catalogue"), store, "neo_classifier", judges)


def test_a_damaged_champion_is_no_champion(store: Path, judges: Labelled, caplog: pytest.LogCaptureFixture) -> None:
    folder = candidate(store)
    (store / "neo_classifier" / str(VERSION) / "saved_model.pb").write_bytes(b"")
    champion_gate.check_against_champion(folder, store, "neo_classifier", judges)
    assert "saved_model.pb has changed" in caplog.text


def test_the_frozen_set_stays_what_it_was(tmp_path: Path, judges: Labelled) -> None:
    provenance = catalogue.synthetic(rows=100).provenance
    first, said = frozen.frozen_set(tmp_path, judges, provenance)
    assert said == asdict(provenance)
    assert np.array_equal(first.columns, judges.columns)
    fewer = judges.take(np.arange(10))
    again, _ = frozen.frozen_set(tmp_path, fewer, replace(provenance, date="2030-01-01"))
    assert len(again) == len(judges)
    other, _ = frozen.frozen_set(tmp_path, fewer, replace(provenance, kind="catalogue"))
    assert len(other) == 10
    assert publish.versions(tmp_path, "frozen") == []


def test_a_changed_frozen_set_is_refused(tmp_path: Path, judges: Labelled) -> None:
    provenance = catalogue.synthetic(rows=100).provenance
    frozen.frozen_set(tmp_path, judges, provenance)
    (path,) = (tmp_path / "frozen").iterdir()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RefusedError, match="is not what was frozen"):
        frozen.frozen_set(tmp_path, judges, provenance)


KILLED = """
import sys, time
from pathlib import Path
from export.publishing import publish
with publish.staged_version(Path(sys.argv[1]), "model", 7) as folder:
    (folder / "graph.bin").write_bytes(b"half")
    print("staged", flush=True)
    time.sleep(60)
"""


def test_kill_in_the_middle_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    with publish.staged_version(tmp_path, "model", 6) as folder:
        (folder / "graph.bin").write_bytes(b"whole")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"staged\n"
        process.send_signal(signal.SIGKILL)
    assert publish.versions(tmp_path, "model") == [6]
    publish.verify(tmp_path / "model" / "6")
    assert len(list((tmp_path / "model").glob(".staging-*"))) == 1
    with publish.staged_version(tmp_path, "model", 7) as folder:
        (folder / "graph.bin").write_bytes(b"whole")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["6", "7"]


def test_what_a_living_or_a_distant_publisher_stages_is_left_alone(tmp_path: Path) -> None:
    host = socket.gethostname()
    for name in (f".staging-7-{host}-{os.getpid()}-a", ".staging-7-elsewhere-1-b", ".staging-7-c"):
        (tmp_path / name).mkdir()
    assert publish.sweep(tmp_path) == []
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / ".staging-7-elsewhere-1-b", (two_days_ago, two_days_ago))
    assert publish.sweep(tmp_path) == [".staging-7-elsewhere-1-b"]


def test_history_says_how_far_each_number_moved(tmp_path: Path) -> None:
    for version, precision in ((1, 0.98), (2, 0.99)):
        manifest = publish.Manifest(
            "model", version, "f32", "2026-01-01T00:00:00+00:00", {"kind": "synthetic", "description": "10 orbits"},
            {"by_date": {"average_precision": precision, "objects": 10.0}}, {},
        )  # fmt: skip
        with publish.staged_version(tmp_path, "model", version) as folder:
            (folder / "manifest.json").write_text(manifest.to_json())
    text = history.write_history(tmp_path, "model").read_text()
    assert "| by_date.average_precision | 0.98 | 0.99 | +0.01 |" in text
    assert text.index("## 2") < text.index("## 1")
    newest = text[: text.index("## 1")]
    assert "objects" not in newest
    assert publish.versions(tmp_path, "model") == [1, 2]
