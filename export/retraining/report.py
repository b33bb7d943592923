# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in words: `runs/<id>.md` beside its record."""

from export.retraining.ledger import Run

_CONSENSUS = {
    "set_aside": "Data errors by consensus, set aside",
    "interesting": "Interesting by consensus, on the watch list",
    "against_the_rule": "Seen otherwise than the exact rule has it; the rule stands",
    "unknown": "Voted on, not in the catalogue",
}


def markdown(run: Run) -> str:
    """One page about a finished run."""
    catalogue = run.inputs["catalogue"]
    data = f"{catalogue['rows']} objects from {catalogue['source']}, {catalogue['date']}, `{catalogue['sha256']}`"
    lines = [f"# Retraining run {run.run_id}", ""]
    lines += [
        f"Finished {run.finished_utc}.",
        "",
        f"- catalogue: {data}",
        f"- consensus: {run.extraction_id or 'none'}",
    ]
    lines += ["", "| model | challenger | outcome |", "|---|---|---|"]
    for name, result in run.results.items():
        outcome = f"refused: {result.refused}" if result.refused else "passed its gates"
        lines.append(f"| {name} | {result.version} | {outcome} |")
    for kind, title in _CONSENSUS.items():
        lines += ["", f"## {title}", "", ", ".join(run.consensus[kind]) or "None."]
    for name, result in run.results.items():
        lines += ["", f"## {name}, on the way", "", *(f"- {text}" for text in result.said)]
    return "\n".join(lines) + "\n"
