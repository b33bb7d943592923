# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards of a catalogue: whole, once, resumable."""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser

import pytest
from google.protobuf import json_format

from gateway.simulation.nightly import Night, Shard, answer, main, run
from orrery.inference import v1
from tests.objects import NAMED_ORBITS

NIGHT = Night(days=400.0, samples=100, asteroid_kernel=None)


@pytest.fixture
def catalogue(tmp_path):
    """Real objects, their sigmas left out; one line that is none, one without an orbit, one empty."""
    items = [entry["object"] for entry in json.loads(NAMED_ORBITS.read_text())]
    for item in items:
        item.pop("uncertainty", None)
    lines = [json.dumps(item) for item in items]
    lines[2:2] = ["this is no JSON", "", json.dumps({"designation": "nowhere"})]
    path = tmp_path / "objects.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()][1:]


def test_shards_make_up_the_whole(catalogue, tmp_path):
    count = len(catalogue.read_text().splitlines())
    found = {}
    for index in range(4):
        for row in rows(run(catalogue, tmp_path / "out", Shard(index, 4), NIGHT)):
            assert row["row"] % 4 == index
            assert row["row"] not in found
            found[row["row"]] = row
    assert sorted(found) == [row for row in range(count) if row != 3]
    assert found[2]["refused"]
    assert found[4]["refused"][0]["field"]
    assert 0 < found[0]["earth_moid_au"] < 0.001
    assert found[0]["designation"] == "(99942) Apophis"
    assert all("impact" not in row for row in found.values())
    assert not list((tmp_path / "out").glob("*.part"))


def test_an_interrupted_shard_goes_on_where_it_was(catalogue, tmp_path):
    whole = run(catalogue, tmp_path / "whole", Shard(0, 1), NIGHT).read_text()
    lines = whole.splitlines(keepends=True)
    folder = tmp_path / "cut"
    folder.mkdir()
    part = folder / Shard(0, 1).file_name.replace(".jsonl", ".part")
    # Three lines, of which one is marked, and half of the next.
    marked = lines[1].replace("Apophis", "marked")
    part.write_text(lines[0] + marked + lines[2] + lines[3][: len(lines[3]) // 2])
    resumed = run(catalogue, folder, Shard(0, 1), NIGHT).read_text()
    assert "marked" in resumed
    assert resumed.replace("marked", "Apophis") == whole


@pytest.mark.parametrize("left", ["", "{}\n", "nonsense\n", '{"catalogue_sha256": "other"}\n{"row": 0}\n'])
def test_what_is_of_another_question_is_not_gone_on_with(catalogue, tmp_path, left):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / Shard(1, 3).file_name.replace(".jsonl", ".part")).write_text(left)
    found = rows(run(catalogue, folder, Shard(1, 3), NIGHT))
    assert [row["row"] for row in found] == [1, 4, 7]


def test_a_shard_that_is_done_is_not_done_again_unless_the_catalogue_is_another(catalogue, tmp_path):
    done = run(catalogue, tmp_path, Shard(0, 3), NIGHT)
    before = done.stat().st_mtime_ns
    assert run(catalogue, tmp_path, Shard(0, 3), NIGHT).stat().st_mtime_ns == before
    catalogue.write_text(catalogue.read_text() + "\n")
    assert run(catalogue, tmp_path, Shard(0, 3), NIGHT).stat().st_mtime_ns > before


def test_an_uncertain_object_has_its_impact_estimated():
    item = v1.NearEarthObject(
        designation="made",
        elements=v1.OrbitalElements(
            epoch_tdb_jd=2_461_000.5,
            semi_major_axis_au=1.3,
            eccentricity=0.2,
            inclination_deg=8.0,
            longitude_of_ascending_node_deg=100.0,
            argument_of_perihelion_deg=40.0,
            mean_anomaly_deg=10.0,
        ),
        uncertainty=v1.OrbitUncertainty(
            sigmas=v1.ElementSigmas(
                semi_major_axis_au=1e-9,
                eccentricity=1e-9,
                inclination_deg=1e-7,
                longitude_of_ascending_node_deg=1e-7,
                argument_of_perihelion_deg=1e-7,
                mean_anomaly_deg=1e-7,
            )
        ),
    )
    found = answer(json_format.MessageToJson(item, indent=None), NIGHT)
    assert "refused" not in found, found
    assert found["impact"]


@pytest.mark.parametrize("text", ["3/3", "1", "-1/3", "a/b", "1/0", "", "1/2/3"])
def test_shards_that_cannot_be_are_refused(text, tmp_path):
    with pytest.raises(SystemExit) as caught:
        main(ArgumentParser(), ["--shard", text, "--catalogue", str(tmp_path / "none"), "--output", str(tmp_path)])
    assert "i/n" in str(caught.value) or caught.value.code == 2


def test_the_command(catalogue, tmp_path):
    command = [sys.executable, "-m", "gateway", "simulation", "--shard=0/2", f"--catalogue={catalogue}"]
    done = subprocess.run(
        [*command, f"--output={tmp_path / 'out'}", "--days=30"],
        env={**os.environ, "ORRERY_ASTEROID_KERNEL": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "shard-00000-of-00002.jsonl").exists()
    missing = subprocess.run(
        [*command[:-1], "--catalogue=/nowhere.jsonl", f"--output={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert missing.returncode != 0
    assert "nowhere.jsonl" in missing.stderr
