# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample of real rows is what its provenance says, and can be made again."""

import gzip
import hashlib

import pytest

from bench import sample
from tests.real_data import SAMPLE, full_folder


def content(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def test_every_file_has_its_provenance():
    text = (SAMPLE / "PROVENANCE.md").read_text(encoding="utf-8")
    files = sorted((SAMPLE / "data").iterdir())
    rows = [line for line in text.splitlines() if line.startswith("| ") and "sha256" not in line]
    assert len(rows) == len(files) == 8
    for path in files:
        (row,) = [line for line in rows if line.startswith(f"| {path.name} |")]
        assert f"`{hashlib.sha256(content(path)).hexdigest()}`" in row
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 400_000


def test_a_row_is_taken_by_its_number_or_because_it_is_hard():
    table = sample.Table("made", 3, lambda row: row["b"] == "x", "b is x", "made up")
    lines = ["a,b\n", *(f"{number},{'x' if number == 4 else ''}\n" for number in range(7))]
    assert [line[0] for line in sample.sampled(table, lines)] == ["a", "0", "3", "4", "6"]


@pytest.mark.long
def test_the_full_catalogues_give_the_same_sample_again(tmp_path):
    sample.write(full_folder(), tmp_path)
    assert (tmp_path / "PROVENANCE.md").read_text("utf-8") == (SAMPLE / "PROVENANCE.md").read_text("utf-8")
    for path in (SAMPLE / "data").iterdir():
        assert content(tmp_path / "data" / path.name) == content(path)
