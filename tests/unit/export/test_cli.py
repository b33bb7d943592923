# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, in this process."""

import sys
from pathlib import Path

import pytest

from export import cli
from export.publishing import publish


def publish_empty(store: Path, name: str) -> None:
    with publish.staged_version(store, name, 3) as folder:
        (folder / "graph.bin").write_bytes(b"weights")


def test_models_that_are_there_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.MODEL_NAMES:
        publish_empty(tmp_path, name)
    assert cli.main(["quick", "--store", str(tmp_path), "--if-absent"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "neo_classifier 3, neo_anomaly 3; nothing to do" in said
    assert all(publish.versions(tmp_path, name) == [3] for name in cli.MODEL_NAMES)


@pytest.mark.parametrize("name", ["missing.json", "page.html"])
def test_a_file_that_cannot_be_used_is_a_plain_failure(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.html").write_text("<html>")
    assert cli.main(["catalogue", "--catalogue", str(tmp_path / name), "--cache", str(tmp_path)]) == 1
    assert name in capsys.readouterr().out.replace("\n", "")


def test_too_few_objects_for_a_forest_are_a_plain_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object cannot be told from others: nothing is published, and the reason is said."""
    path = tmp_path / "one.csv"
    header = "full_name,H,epoch,a,q,e,i,om,w,ma,tp"
    path.write_text(f"{header}\n433 Eros (A898 PA),10.4,2461000.5,1.458,1.133,0.223,10.8,304.3,178.9,1,2461088.8")
    store = tmp_path / "store"
    assert cli.main(["quick", "--catalogue", str(path), "--store", str(store)]) == 1
    assert "cannot be fused" in " ".join(capsys.readouterr().out.split())
    assert all(publish.versions(store, name) == [] for name in cli.MODEL_NAMES)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["fly"])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_help_needs_no_tensorflow() -> None:
    import subprocess

    code = "import sys\nfrom export import cli\ncli._parser()\nprint('tensorflow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "False"
