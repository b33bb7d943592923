# SPDX-License-Identifier: GPL-3.0-or-later
"""What citizens agreed on, as `python -m gateway feedback extract` writes it.

Votes never redefine physics: labels stay the exact rule's. Consensus may set a row aside as a data error, may call an
object interesting, and where it contradicts the rule it is reported. Few rows are set aside: a flood of votes must not
choose what a model learns from.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from export.data.catalogue import Catalogue
from export.data.dataset import CLASSES, label
from export.errors import ExportError
from export.publishing import publish

MOST_SET_ASIDE_SHARE: Final = 0.01
"""Of the catalogue's rows: more data errors than that are no votes but a fault, or an attack."""

_ROWS_FILE: Final = "consensus.jsonl"
_FORMAT: Final = 1
_NUMBERED: Final = re.compile(r"\((\d+)\)(?: .*)?|(\d+)")


class ConsensusError(ExportError):
    """An extraction cannot be read, is not whole, or asks for too much."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """The objects on which citizens agreed.

    Attributes:
        extraction_id: the run of the feedback store that wrote it; empty where there is none.
        data_errors: designations whose record cannot be right by consensus.
        interesting: designations worth an expert's look by consensus.
        hazard: designation and whether citizens call it hazardous.
        orbit_class: designation and the class that citizens see.
    """

    extraction_id: str = ""
    data_errors: tuple[str, ...] = ()
    interesting: tuple[str, ...] = ()
    hazard: tuple[tuple[str, bool], ...] = ()
    orbit_class: tuple[tuple[str, str], ...] = ()

    @property
    def sha256(self) -> str:
        """Of what a run acts on: extractions that say the same are the same input, whatever their names."""
        acted_on = json.dumps([sorted(self.data_errors), sorted(self.interesting)])
        return hashlib.sha256(acted_on.encode()).hexdigest()


NOTHING: Final = Consensus()


def read(folder: Path) -> Consensus:
    """An extraction.

    Args:
        folder: with `consensus.jsonl`, `manifest.json` and `SHA256SUMS`.

    Raises:
        ConsensusError: it cannot be read, is not what was extracted, or is of another format.
    """
    try:
        publish.verify(folder)
        manifest = json.loads((folder / publish.MANIFEST_FILE).read_text(encoding="utf-8"))
        lines = (folder / _ROWS_FILE).read_text(encoding="utf-8").splitlines()
        if manifest["format"] != _FORMAT or manifest["rows"] != len(lines):
            raise ConsensusError(f"{folder}: format {manifest['format']} with {manifest['rows']} rows, not as told")
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        said = [(str(row["designation"]), row["question"], row["label"]) for row in rows if row["label"] is not None]
        return Consensus(
            str(manifest["run_id"]),
            tuple(name for name, _, answer in said if answer == "DATA_ERROR"),
            tuple(name for name, _, answer in said if answer == "INTERESTING"),
            tuple((name, answer == "HAZARDOUS") for name, question, answer in said if question == "HAZARD"),
            tuple((name, str(answer)) for name, question, answer in said if question == "ORBIT_CLASS"),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConsensusError):
            raise
        raise ConsensusError(f"the extraction {folder} cannot be used: {error}") from error


def rows_of(objects: pd.DataFrame, designations: Sequence[str]) -> NDArray[np.bool_]:
    """Which of N objects are meant: by designation or number ("433", "(433)", "(433) Eros"), case-exact."""
    numbers = {int(match[1] or match[2]) for text in designations if (match := _NUMBERED.fullmatch(text))}
    meant = objects["designation"].isin(designations) | objects["number"].isin(list(numbers)).fillna(value=False)
    result: NDArray[np.bool_] = meant.to_numpy(dtype=np.bool_)
    return result


def without_data_errors(catalogue: Catalogue, consensus: Consensus) -> tuple[Catalogue, list[str]]:
    """The catalogue without the rows that consensus calls wrong, and the designations of those.

    Raises:
        ConsensusError: they are more than `MOST_SET_ASIDE_SHARE` of all rows.
    """
    wrong = rows_of(catalogue.objects, consensus.data_errors)
    count = int(wrong.sum())
    if count > MOST_SET_ASIDE_SHARE * len(wrong):
        raise ConsensusError(
            f"consensus {consensus.extraction_id} calls {count} of {len(wrong)} rows data errors; at most "
            f"{MOST_SET_ASIDE_SHARE:.0%} are set aside: look at the votes"
        )
    if not count:
        return catalogue, []
    provenance = catalogue.provenance
    kept = replace(
        provenance,
        rows=provenance.rows - count,
        description=f"{provenance.description}, {count} set aside by consensus {consensus.extraction_id}",
    )
    objects = catalogue.objects
    set_aside = [str(name) for name in objects.loc[wrong, "designation"]]
    return Catalogue(objects[~wrong].reset_index(drop=True), kept, catalogue.report), set_aside


def noted(catalogue: Catalogue, consensus: Consensus, set_aside: list[str]) -> dict[str, list[str]]:
    """What is to be said about a consensus: who was set aside, is interesting, contradicts the rule, is unknown."""
    named = (*consensus.data_errors, *consensus.interesting)
    unknown = [text for text in named if not rows_of(catalogue.objects, [text]).any()]
    return {
        "set_aside": set_aside,
        "interesting": list(consensus.interesting),
        "against_the_rule": _against_the_rule(catalogue, consensus),
        "unknown": unknown,
    }


def _against_the_rule(catalogue: Catalogue, consensus: Consensus) -> list[str]:
    """Objects whose hazard or class citizens see otherwise than the exact rule, which stands."""
    found = []
    seen: list[tuple[str, str]] = [(name, "hazardous" if yes else "not hazardous") for name, yes in consensus.hazard]
    seen += list(consensus.orbit_class)
    for name, answer in seen:
        objects = catalogue.objects[rows_of(catalogue.objects, [name])]
        if not len(objects) or not len(rule := label(objects, real=True)):
            continue
        classes = {CLASSES[rule.orbit_class[0]].name}
        if answer not in classes | {"hazardous" if rule.hazardous[0] else "not hazardous"}:
            found.append(f"{name} ({answer.lower()})")
    return found
