# SPDX-License-Identifier: GPL-3.0-or-later
"""The frozen set: the objects that every candidate and its champion are judged on, the same for ever.

It is made once, from the judges of the first version that is published, and lies in the store under `frozen/`. Its
name holds the sum of its bytes: a changed file is noticed and refused, never used and never silently replaced. Real and
synthetic judges have a file each.
"""

import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.data.catalogue import Provenance
from export.data.dataset import Labelled
from export.files import sha256, sync
from export.publishing.publish import RefusedError

FOLDER: Final = "frozen"
_ARRAYS: Final = ("columns", "hazardous", "orbit_class", "real")


def frozen_set(store: Path, judges: Labelled, provenance: Provenance) -> tuple[Labelled, dict[str, Any]]:
    """The frozen set of a store, made of these judges where there is none yet.

    Args:
        store: folder of all models.
        judges: objects of the present catalogue that no model learns from.
        provenance: of that catalogue; its kind says which frozen set is meant.

    Returns:
        The objects, and the provenance of the catalogue they were taken from.

    Raises:
        RefusedError: there are several, or the one there is has changed since it was made.
    """
    found = sorted((store / FOLDER).glob(f"by-date-{provenance.kind}-*.npz"))
    if len(found) > 1:
        raise RefusedError(f"{store / FOLDER} holds {len(found)} frozen sets of {provenance.kind} objects, not one")
    path = found[0] if found else _make(store / FOLDER, judges, provenance)
    if sha256(path) != path.stem.rpartition("-")[2]:
        raise RefusedError(f"the frozen set {path} is not what was frozen: its sum is another than its name says")
    with np.load(path, allow_pickle=False) as arrays:
        return Labelled(*(arrays[name] for name in _ARRAYS)), json.loads(str(arrays["provenance"]))


def _make(folder: Path, judges: Labelled, provenance: Provenance) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(judges, name) for name in _ARRAYS}
    arrays["provenance"] = np.array(json.dumps(asdict(provenance), sort_keys=True))
    np.savez_compressed(content, **arrays)
    partial = folder / f".by-date-{os.getpid()}"
    partial.write_bytes(content.getvalue())
    sync(partial)
    path = folder / f"by-date-{provenance.kind}-{sha256(partial)}.npz"
    partial.rename(path)
    sync(folder)
    return path
