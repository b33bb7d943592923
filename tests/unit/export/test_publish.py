# SPDX-License-Identifier: GPL-3.0-or-later
"""A version is whole or absent, never overwritten, and any damage is found."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from export.publishing import publish
from export.publishing.publish import IntegrityError, RefusedError, VersionExistsError


def publish_one(store: Path, version: int = 7) -> Path:
    with publish.staged_version(store, "model", version) as folder:
        (folder / "graph.bin").write_bytes(b"weights")
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_bytes(b"more weights")
    return store / "model" / str(version)


def test_published_version_is_whole(tmp_path: Path) -> None:
    folder = publish_one(tmp_path)
    publish.verify(folder)
    assert publish.versions(tmp_path, "model") == [7]
    assert [entry.name for entry in folder.parent.iterdir()] == ["7"]
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum of coreutils")
def test_sums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    folder = publish_one(tmp_path)
    command = ["sha256sum", "--check", "--strict", "--quiet", publish.SUMS_FILE]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    (folder / "graph.bin").write_bytes(b"Weights")
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1


def test_no_version_shows_before_it_is_whole(tmp_path: Path) -> None:
    with publish.staged_version(tmp_path, "model", 7) as folder:
        (folder / "graph.bin").write_bytes(b"weights")
        assert publish.versions(tmp_path, "model") == []
        assert folder.parent == tmp_path / "model"
    assert publish.versions(tmp_path, "model") == [7]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with publish.staged_version(tmp_path, "model", 7) as folder:
            (folder / "graph.bin").write_bytes(b"half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        fail()
    assert list((tmp_path / "model").iterdir()) == []


def test_a_check_sees_the_whole_folder_and_can_refuse_it(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(folder: Path) -> None:
        publish.verify(folder)
        seen.extend(sorted(path.name for path in folder.iterdir()))
        raise RefusedError("graph.bin is too small")

    def never(folder: Path) -> None:
        raise AssertionError("the first refusal ends it")

    def publish_refused() -> None:
        with publish.staged_version(tmp_path, "model", 7, checks=[look, never]) as folder:
            (folder / "graph.bin").write_bytes(b"weights")

    with pytest.raises(RefusedError, match=r"graph\.bin is too small"):
        publish_refused()
    assert seen == ["SHA256SUMS", "graph.bin"]
    assert list((tmp_path / "model").iterdir()) == []


def test_a_check_that_changes_the_folder_stops_it(tmp_path: Path) -> None:
    def publish_changed() -> None:
        with publish.staged_version(
            tmp_path, "model", 7, checks=[lambda folder: (folder / "graph.bin").unlink()]
        ) as folder:
            (folder / "graph.bin").write_bytes(b"weights")

    with pytest.raises(IntegrityError, match=r"graph\.bin is missing"):
        publish_changed()
    assert publish.versions(tmp_path, "model") == []


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    folder = publish_one(tmp_path)
    with pytest.raises(VersionExistsError):
        publish_one(tmp_path)
    publish.verify(folder)
    assert publish.versions(tmp_path, "model") == [7]


def test_of_two_publishers_the_second_is_refused(tmp_path: Path) -> None:
    def race() -> None:
        with publish.staged_version(tmp_path, "model", 7) as folder:
            publish_one(tmp_path)
            (folder / "graph.bin").write_bytes(b"other weights")

    with pytest.raises(VersionExistsError):
        race()
    assert (tmp_path / "model" / "7" / "graph.bin").read_bytes() == b"weights"
    assert [entry.name for entry in (tmp_path / "model").iterdir()] == ["7"]


def _flip_a_bit(folder: Path) -> None:
    path = folder / "variables" / "data"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_flip_a_bit, "variables/data has changed"),
        (lambda folder: (folder / "graph.bin").write_bytes(b""), "graph.bin has changed"),
        (lambda folder: (folder / "graph.bin").unlink(), "graph.bin is missing"),
        (lambda folder: (folder / "extra").write_bytes(b"x"), "extra was never published"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "no readable SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "graph.bin was never published"),
        (lambda folder: (folder / "SHA256SUMS").write_text("short  graph.bin\n"), "broken line"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\xfe"), "no readable SHA256SUMS"),
        (shutil.rmtree, "no readable SHA256SUMS"),
    ],
)
def test_damage_is_found(tmp_path: Path, damage: Callable[[Path], object], problem: str) -> None:
    folder = publish_one(tmp_path)
    damage(folder)
    with pytest.raises(IntegrityError) as caught:
        publish.verify(folder)
    assert any(problem in text for text in caught.value.problems)


def test_all_damage_is_named_at_once(tmp_path: Path) -> None:
    folder = publish_one(tmp_path)
    (folder / "graph.bin").unlink()
    _flip_a_bit(folder)
    with pytest.raises(IntegrityError) as caught:
        publish.verify(folder)
    assert caught.value.problems == ["graph.bin is missing", "variables/data has changed"]


def test_version_is_the_time_in_utc() -> None:
    assert publish.new_version(datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)) == 20260203040506
    east = timezone(timedelta(hours=5))
    assert publish.new_version(datetime(2026, 2, 3, 4, 5, 6, tzinfo=east)) == 20260202230506


def test_versions_are_numbers_in_order(tmp_path: Path) -> None:
    for name in ("10", "9", ".staging-11-x", "latest"):
        (tmp_path / "model" / name).mkdir(parents=True)
    (tmp_path / "model" / "12").write_text("a file")
    assert publish.versions(tmp_path, "model") == [9, 10]
    assert publish.versions(tmp_path, "other") == []
