# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of consensus as a folder that training reads: `consensus.jsonl`, `manifest.json`, `SHA256SUMS`.

A line a question about an object that is decided, in the order of designation and question:

    {"designation": "2004 FH", "question": "RECORD", "label": "DATA_ERROR", "status": "AGREED", "votes": 4,
     "anonymous_votes": 0, "share": 1.0, "changed_in_run": "2026-11-26"}

`label` is null, and `status` OPEN, where a question was decided in the run before and no longer is. Nothing in these
files is about a contributor.
"""

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.feedback.labels import label_name, question_name
from gateway.feedback.store.extraction import ConsensusRow, Run
from gateway.serving.checksums import SUMS_FILE

FORMAT: Final = 1
ROWS_FILE: Final = "consensus.jsonl"
MANIFEST_FILE: Final = "manifest.json"


def write_run(run: Run, folder: Path) -> dict[str, Any]:
    """Write a run whole, or not at all; a folder that holds this very run stays as it is.

    Args:
        run: as the store has it.
        folder: to be made.

    Returns:
        The manifest.

    Raises:
        FileExistsError: the folder holds something else.
        OSError: it cannot be written.
    """
    rows = "".join(json.dumps(_line(row), ensure_ascii=False) + "\n" for row in run.rows).encode()
    manifest = {
        "format": FORMAT,
        "run_id": run.run_id,
        "previous_run_id": run.previous_run_id,
        "extracted_utc": datetime.fromtimestamp(run.extracted_unix_us / 1e6, UTC).isoformat(),
        "rule": run.rule,
        "rows": len(run.rows),
        "changed_rows": sum(row.changed_in_run == run.run_id for row in run.rows),
        "rows_sha256": hashlib.sha256(rows).hexdigest(),
    }
    described = (json.dumps(manifest, indent=2) + "\n").encode()
    contents = {ROWS_FILE: rows, MANIFEST_FILE: described}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
    contents[SUMS_FILE] = sums.encode()
    if folder.exists():
        if any((folder / name).read_bytes() != content for name, content in contents.items()):
            raise FileExistsError(f"{folder} holds something else")
        return manifest
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    for name, content in contents.items():
        with (beside / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    beside.rename(folder)
    return manifest


def _line(row: ConsensusRow) -> dict[str, Any]:
    return {
        "designation": row.designation,
        "question": question_name(row.question),
        "label": label_name(row.label) or None,
        "status": row.status.name,
        "votes": row.votes,
        "anonymous_votes": row.anonymous_votes,
        "share": row.share_per_mille / 1_000,
        "changed_in_run": row.changed_in_run,
    }
