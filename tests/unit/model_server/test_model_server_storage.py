# SPDX-License-Identifier: GPL-3.0-or-later
"""Version folders, policies and checksums."""

import hashlib

import pytest

from gateway.model_server.errors import Refusal
from gateway.model_server.settings import ModelServerSettings
from gateway.model_server.storage import VersionPolicy, check_whole, version_folders
from gateway.serving.checksums import fingerprint


@pytest.fixture
def version(tmp_path):
    """A version folder with two files and their checksums."""
    folder = tmp_path / "1"
    (folder / "variables").mkdir(parents=True)
    files = {"saved_model.pb": b"graph", "variables/variables.index": b"index"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


def test_version_folders_are_the_folders_with_a_number_for_a_name(tmp_path):
    for name in ("1", "007", "20260101000000", ".5.partial", "v3", "-4", "1.5", str(2**63), "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "9").touch()
    assert version_folders(tmp_path) == {
        1: tmp_path / "1",
        7: tmp_path / "007",
        20260101000000: tmp_path / "20260101000000",
    }


def test_a_missing_base_path_is_refused(tmp_path):
    with pytest.raises(Refusal, match="Could not find base path"):
        version_folders(tmp_path / "no")


@pytest.mark.parametrize(
    ("policy", "selected"),
    [
        (VersionPolicy.latest(0), {30}),
        (VersionPolicy.latest(1), {30}),
        (VersionPolicy.latest(2), {30, 4}),
        (VersionPolicy.latest(9), {30, 4, 1}),
        (VersionPolicy.specific([1, 5]), {1}),
        (VersionPolicy.specific([]), set()),
        (VersionPolicy.every(), {30, 4, 1}),
    ],
)
def test_policies_select(policy, selected):
    assert policy.select([4, 30, 1]) == selected
    assert policy.select([]) == set()


def test_a_whole_version_passes(version):
    check_whole(version)


def test_a_version_without_checksums_passes(version):
    (version / "SHA256SUMS").unlink()
    check_whole(version)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "saved_model.pb").unlink(), "Could not find SavedModel"),
        (lambda folder: (folder / "saved_model.pb").write_bytes(b"grapf"), "saved_model.pb of .* is not the file"),
        (lambda folder: (folder / "variables/variables.index").unlink(), "cannot be read"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "does not list saved_model.pb"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff"), "SHA256SUMS of .* cannot be read"),
        (
            lambda folder: (folder / "SHA256SUMS").write_text(
                (folder / "SHA256SUMS").read_text() + f"{'0' * 64}  ../../passwd\n"
            ),
            "which is outside",
        ),
    ],
)
def test_a_spoilt_version_is_refused(version, spoil, message):
    spoil(version)
    with pytest.raises(Refusal, match=message):
        check_whole(version)


def test_the_fingerprint_changes_with_any_file(version):
    before = fingerprint(version)
    assert fingerprint(version) == before
    (version / "variables" / "more").touch()
    after = fingerprint(version)
    assert after != before
    (version / "variables" / "more").write_bytes(b"x")
    assert fingerprint(version) != after


def test_settings_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ORRERY_MODEL_STORE", str(tmp_path))
    monkeypatch.setenv("ORRERY_MODEL_SERVER_GRACE_S", "3")
    settings = ModelServerSettings()
    assert settings.model_store == tmp_path
    assert settings.grace_s == 3.0
