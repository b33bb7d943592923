# SPDX-License-Identifier: GPL-3.0-or-later
"""The champion: the version that a candidate has to beat."""

import json
import logging
from pathlib import Path
from typing import Final

from export.publishing import publish
from export.publishing.publish import RefusedError

LOGGER: Final = logging.getLogger(__name__)


def champion(store: Path, name: str, serving: int | None = None) -> Path | None:
    """The folder of the version that serves, where that is known and whole; else of the newest one that is whole.

    Args:
        store: of all models.
        name: of the model.
        serving: what callers are answered by, if labels say so.
    """
    candidates = list(reversed(publish.versions(store, name)))
    if serving in candidates:
        candidates.insert(0, serving)
    for version in candidates:
        folder = store / name / str(version)
        try:
            publish.verify(folder)
        except publish.IntegrityError as error:
            LOGGER.warning("no champion: %s", error)
        else:
            return folder
    LOGGER.info("%s has no champion yet: the first version needs none", name)
    return None


def check_kinds(folder: Path, champion_folder: Path) -> None:
    """Whether a candidate may stand against a champion at all.

    Raises:
        RefusedError: it learnt from synthetic orbits, the champion from a real catalogue.
    """
    if _kind(folder) == "synthetic" != _kind(champion_folder):
        raise RefusedError(
            f"the champion, version {champion_folder.name}, learnt from a real catalogue, "
            "the candidate from synthetic orbits"
        )


def _kind(folder: Path) -> str:
    manifest = json.loads((folder / publish.MANIFEST_FILE).read_text(encoding="utf-8"))
    return str(manifest["training_data"]["kind"])
