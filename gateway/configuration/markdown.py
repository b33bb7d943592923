# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/settings.md, from the classes of settings."""

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.configuration.reference import SHARED, Entry, sections
from gateway.configuration.registry import OTHERS

_TITLES: Final = {
    SHARED: "Shared by several pods",
    "front": "Front",
    "anomaly": "Anomaly pod",
    "simulation": "Simulation pod",
    "feedback": "Feedback pod",
    "model-server": "Embedded model server",
    "deliver": "Delivery of models",
    "edge": "Edge",
}


def render() -> str:
    """The whole document."""
    found = sections()
    count = sum(map(len, found.values()))
    lines = [
        "# Settings",
        "",
        "<!-- Written by `make protos` from the classes of settings; edit those. -->",
        "",
        f"{count} environment variables, read when a pod starts. `python -m gateway settings [POD]` lists them with",
        "their values now. An `ORRERY_…` variable that is not in this list stops the start of a pod: a setting that",
        "protects must not be ignored because it is misspelt.",
    ]
    for command, entries in found.items():
        lines += ["", f"## {_TITLES[command]}", "", *_table(entries)]
    lines += ["", "## Read by other programs", "", "| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in OTHERS.items()]
    return "\n".join(lines) + "\n"


def _table(entries: Iterable[Entry]) -> Iterator[str]:
    yield "| variable | default | unit | meaning |"
    yield "|---|---|---|---|"
    for entry in entries:
        default = f"`{entry.default}`" if entry.default else ""
        yield f"| `{entry.variable}` | {default} | {entry.unit} | {entry.meaning} |"
