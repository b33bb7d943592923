# SPDX-License-Identifier: GPL-3.0-or-later
"""Every published version explains itself."""

import json
import re
from pathlib import Path

import pytest

from export.publishing import model_card
from export.publishing.publish import Manifest, Published

SECTIONS = [
    "Data", "Architecture", "Metrics", "Limits", "Intended use", "Out of scope", "Ethical notes", "How to reproduce",
]  # fmt: skip


@pytest.mark.parametrize("name", ["neo_classifier", "neo_anomaly"])
def test_a_published_version_has_its_card(tiny_models: dict[str, Published], name: str) -> None:
    published = tiny_models[name]
    text = (published.folder / model_card.FILE).read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert "**Synthetic: no real object was seen.**" in text
    assert published.manifest.training_data["sha256"] in text


def test_numbers_are_the_manifests(tiny_models: dict[str, Published]) -> None:
    published = tiny_models["neo_classifier"]
    text = (published.folder / model_card.FILE).read_text()
    judged = json.loads((published.folder / "manifest.json").read_text())["metrics"]["by_date"]["all"]
    assert f"| average precision | {judged['average_precision']:.5g}" in text


def test_intervals_and_figures_are_shown(tiny_models: dict[str, Published]) -> None:
    manifest = tiny_models["neo_classifier"].manifest
    with_intervals = Manifest(
        manifest.name, 1, "f32", "now", {**manifest.training_data, "kind": "catalogue"},
        {"by_date": {"all": {"brier": 0.5}, "h_at_most_22": {}, "orbit_class": {}},
         "intervals": {"all": {"brier": [0.4, 0.6]}}}, {},
    )  # fmt: skip
    text = model_card.card(with_intervals, [str(Path("figures") / "by_date.png")])
    assert "| brier | 0.5 [0.4, 0.6] |  |" in text
    assert "![by date](figures/by_date.png)" in text
    assert "Synthetic" not in text
