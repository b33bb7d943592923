# SPDX-License-Identifier: GPL-3.0-or-later
"""The data set as files: whole, disjoint, the same for the same seed."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from export.data import catalogue, parquet
from export.data.dataset import label
from export.data.write_dataset import MANIFEST_FILE, DatasetFiles, write_dataset

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def made() -> catalogue.Catalogue:
    """A thousand orbits; one that Earth's table does not reach, ten of unknown year."""
    found = catalogue.synthetic(1_000, 5)
    objects = found.objects.copy()
    objects.loc[0, "epoch_tdb_jd"] = 2_600_000.5
    objects.loc[1:10, "first_reported_year"] = pd.NA
    return catalogue.Catalogue(objects, found.provenance, None)


@pytest.fixture(scope="module")
def written(made: catalogue.Catalogue, tmp_path_factory: pytest.TempPathFactory) -> DatasetFiles:
    return write_dataset(made, tmp_path_factory.mktemp("dataset"))


def read(written: DatasetFiles, split: str) -> dict[str, pd.DataFrame]:
    return {part: parquet.read(written.folder / split / f"{part}.parquet")[0] for part in PARTS}


@pytest.mark.parametrize("split", ["random", "by_date"])
def test_every_labelled_object_is_in_one_part(made, written: DatasetFiles, split: str) -> None:
    parts = read(written, split)
    names = [name for part in parts.values() for name in part["designation"]]
    assert len(names) == len(set(names)) == 999
    assert set(names) == set(made.objects["designation"][1:])


def test_random_parts_are_70_15_15(written: DatasetFiles) -> None:
    assert [len(part) for part in read(written, "random").values()] == [699, 150, 150]


def test_only_the_later_are_tested_on_and_the_unknown_never(written: DatasetFiles) -> None:
    parts = read(written, "by_date")
    assert parts["test"]["first_reported_year"].min() == 2020
    earlier = pd.concat([parts["train"], parts["validation"]])["first_reported_year"]
    assert earlier.max() == 2019
    assert earlier.isna().sum() == 10
    assert len(parts["train"]) / len(earlier) == pytest.approx(0.85, abs=0.001)


def test_labels_are_those_the_models_learn(made, written: DatasetFiles) -> None:
    parts = pd.concat(read(written, "random").values()).set_index("designation")
    in_order = parts.loc[made.objects["designation"][1:]]
    assert np.array_equal(in_order["hazardous"].to_numpy(), label(made.objects, real=False).hazardous)
    near = (in_order["earth_moid_au"] <= 0.05) & (in_order["absolute_magnitude_h"] <= 22.0)
    assert np.array_equal(in_order["hazardous"], near)


def test_same_seed_same_bytes(made, written: DatasetFiles, tmp_path: Path) -> None:
    assert write_dataset(made, tmp_path / "again").sha256 == written.sha256
    assert (tmp_path / "again" / MANIFEST_FILE).read_bytes() == written.manifest.read_bytes()
    other = write_dataset(made, tmp_path / "other", seed=4).sha256
    assert all(other[name] != sha256 for name, sha256 in written.sha256.items())


def test_sums_rows_and_provenance_are_true(made, written: DatasetFiles) -> None:
    said = json.loads(written.manifest.read_text())
    assert (said["unlabelled"], said["year_unknown"]) == (1, 10)
    assert said["catalogue"]["sha256"] == made.provenance.sha256
    for name, fact in said["files"].items():
        content = (written.folder / name).read_bytes()
        assert fact["sha256"] == written.sha256[name] == hashlib.sha256(content).hexdigest()
        rows, provenance = parquet.read(written.folder / name)
        assert fact["rows"] == written.rows[name] == len(rows)
        assert fact["hazardous"] == rows["hazardous"].sum()
        assert sum(fact["orbit_classes"].values()) == len(rows)
        assert provenance["catalogue"]["kind"] == "synthetic"
        assert provenance["seed"] == 3
    unlabelled = pd.read_csv(written.folder / "unlabelled.csv")
    assert unlabelled["designation"].tolist() == ["synthetic 0"]


def test_another_year_moves_the_border(made, tmp_path: Path) -> None:
    written = write_dataset(made, tmp_path, first_test_year=2010)
    assert read(written, "by_date")["test"]["first_reported_year"].min() == 2010


def test_parquet_without_provenance_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "bare.parquet")
    (tmp_path / "text.parquet").write_text("not at all")
    for name in ("bare", "text"):
        with pytest.raises(parquet.NoProvenanceError, match=name):
            parquet.read(tmp_path / f"{name}.parquet")
