# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of drift, from published models, a catalogue, and what pods show."""

import json
import shutil
from pathlib import Path

import pytest

from export.data.catalogue import Catalogue
from export.drift import live, report
from export.publishing.publish import Published
from gateway.drift import Reference
from tests.trained import quiet


def page(reference: Reference, model: str, times: int, pods: int = 1) -> str:
    """What so many pods show who saw each bin's objects so many times."""
    lines = [
        f'orrery_drift_bin_objects{{bin="{number}",feature="{name}",model="{model}",window="short"}} {times * count}'
        for name, counts in zip(reference.names, reference.counts, strict=True)
        for number, count in enumerate(counts.tolist())
    ]
    text = "\n".join(["# TYPE orrery_drift_bin_objects gauge", *lines])
    return "\n".join([text] * pods)


def test_page_and_figures(tiny_models: dict[str, Published], tiny_catalogue: Catalogue, tmp_path: Path) -> None:
    for name, one in tiny_models.items():
        shutil.copytree(one.folder, tmp_path / name / one.folder.name)
    path = report.write(tiny_catalogue, tmp_path, tmp_path / "drift", (), None, quiet)
    said = path.read_text()
    for name in tiny_models:
        assert f"![{name}]({name}.png)" in said
        assert (tmp_path / "drift" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    # The synthetic population is the same in every year.
    assert "**drifted**" not in said


def test_a_store_without_models_is_said(tiny_catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(report.NoChampionError, match="no version of neo_classifier is published"):
        report.write(tiny_catalogue, tmp_path, tmp_path / "drift", (), None, quiet)


def test_pods_are_added_up_and_held_against_the_manifest(tiny_models: dict[str, Published]) -> None:
    manifest = json.loads((tiny_models["neo_anomaly"].folder / "manifest.json").read_text())
    reference = Reference.from_json(manifest["drift_reference"])
    assert reference.objects == 3_000
    found = live.verdicts(page(reference, "neo_anomaly", 2, pods=3), "neo_anomaly", manifest)
    objects, verdicts = found["short"]
    assert objects == 18_000
    assert all(verdict.psi == pytest.approx(0.0, abs=1e-12) and not verdict.drifted for verdict in verdicts)
    assert live.verdicts("", "neo_anomaly", manifest) == {}
    assert live.verdicts("", "neo_anomaly", {}) == {}
    other = Reference.of({"x": reference.edges[0]})
    with pytest.raises(live.MetricsError, match="not those of the published version"):
        live.verdicts(page(other, "neo_anomaly", 1), "neo_anomaly", manifest)


def test_a_pod_that_is_away_is_said() -> None:
    with pytest.raises(live.MetricsError, match=r"127\.0\.0\.1:9/metrics"):
        live.read(["http://127.0.0.1:9/metrics"])
