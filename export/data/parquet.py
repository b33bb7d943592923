# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that carry where they are from: Parquet with a JSON provenance in the file's own metadata."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from export import files
from export.errors import ExportError

_METADATA_KEY: Final = b"orrery.provenance"


class NoProvenanceError(ExportError):
    """A Parquet file does not say where it is from."""


def write(frame: pd.DataFrame, path: Path, provenance: dict[str, Any]) -> str:
    """Write a table whole or not at all; the same rows and provenance give the same bytes.

    Returns:
        The SHA-256 of the file, hexadecimal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    written = json.dumps(provenance, sort_keys=True).encode()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), _METADATA_KEY: written}), partial)
    partial.replace(path)
    return files.sha256(path)


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table that `write` wrote, and its provenance.

    Raises:
        NoProvenanceError: the file carries none, or is no Parquet file.
        OSError: it cannot be read.
    """
    try:
        table = pq.read_table(path)
        written = json.loads((table.schema.metadata or {})[_METADATA_KEY])
    except (KeyError, ValueError) as error:
        raise NoProvenanceError(
            f"{path}: no Parquet file with its provenance inside; remove it and run again"
        ) from error
    return table.to_pandas(), written
