# SPDX-License-Identifier: GPL-3.0-or-later
"""`NUMBERS.md` beside the versions of a model: how far each metric moved from the version before.

Written anew from the manifests at every publication, so that it cannot disagree with them.
"""

import json
from pathlib import Path
from typing import Any, Final

from export.files import write_durably
from export.publishing import publish
from export.publishing.manifest_checks import numbers

FILE: Final = "NUMBERS.md"


def write_history(store: Path, name: str) -> Path:
    """Write the file, newest version first, and say where it is."""
    path = store / name / FILE
    write_durably(path, history(store, name))
    return path


def history(store: Path, name: str) -> str:
    """The text of the file."""
    manifests = [_manifest(store / name / str(version)) for version in publish.versions(store, name)]
    sections = [_section(manifest, manifests[row - 1] if row else None) for row, manifest in enumerate(manifests)]
    return "\n".join([f"# {name}: how far the numbers moved\n", *reversed(sections)])


def _manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / publish.MANIFEST_FILE).read_text(encoding="utf-8"))
    return content


def _section(manifest: dict[str, Any], before: dict[str, Any] | None) -> str:
    data = manifest["training_data"]
    lines = [f"## {manifest['version']}\n", f"{manifest['variant']}, learnt from {data['description']}.\n"]
    if used := manifest.get("retraining"):
        rows = len(used["rows_set_aside"])
        consensus = used["extraction_id"] or "none"
        lines.append(f"Retraining run {used['run_id']}, consensus {consensus}, {rows} rows set aside.\n")
    now = dict(numbers(manifest["metrics"]))
    if before is None:
        lines += ["The first version.\n", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.6g} |" for name, value in now.items()]
        return "\n".join(lines) + "\n"
    was = dict(numbers(before["metrics"]))
    if before["training_data"]["kind"] != data["kind"]:
        lines.append(f"The version before learnt from {before['training_data']['kind']} data: not comparable.\n")
    lines += [f"| metric | {before['version']} | {manifest['version']} | moved |", "|---|---|---|---|"]
    for name in sorted(now.keys() | was.keys()):
        old, new = was.get(name), now.get(name)
        moved = "" if old is None or new is None else f"{new - old:+.3g}"
        if old != new:
            lines.append(f"| {name} | {_number(old)} | {_number(new)} | {moved} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
