# SPDX-License-Identifier: GPL-3.0-or-later
"""What citizens agreed on, as an extraction of the feedback pod says it.

Votes never redefine physics: labels stay the exact rule. Consensus may set a row aside as a data error, and may call an
object interesting. Few rows at a time: a flood of votes must not choose what a model learns from.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from export.data.catalogue import Catalogue
from export.errors import ExportError

MOST_SET_ASIDE_SHARE: Final = 0.01
"""Of the catalogue's rows: more data errors than that are no votes but a fault, or an attack."""


class ConsensusError(ExportError):
    """An extraction cannot be read, is not whole, or asks for too much."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """The objects on which citizens agreed.

    Attributes:
        extraction_id: names the extraction, in the feedback store and in everything made with it.
        data_errors: designations whose catalogue row is wrong by consensus.
        interesting: designations worth a second look by consensus.
        sha256: of the extraction's records; empty where there is no extraction.
    """

    extraction_id: str = ""
    data_errors: tuple[str, ...] = ()
    interesting: tuple[str, ...] = ()
    sha256: str = ""


NOTHING: Final = Consensus()


def read(path: Path) -> Consensus:
    """An extraction from its file.

    Raises:
        ConsensusError: it cannot be read, or is not what was extracted.
    """
    try:
        content = path.read_bytes()
        records = [json.loads(line) for line in content.splitlines()]
        kinds = {
            kind: tuple(r["designation"] for r in records if r["verdict"] == kind)
            for kind in ("data_error", "interesting")
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConsensusError(f"the extraction {path} cannot be read: {error}") from error
    return Consensus(path.stem, kinds["data_error"], kinds["interesting"], hashlib.sha256(content).hexdigest())


_NUMBERED: Final = re.compile(r"\((\d+)\)(?: .*)?|(\d+)")


def rows_of(objects: pd.DataFrame, designations: Sequence[str]) -> NDArray[np.bool_]:
    """Which of N objects are meant: by designation or number ("433", "(433)", "(433) Eros"), case-exact."""
    numbers = {int(match[1] or match[2]) for text in designations if (match := _NUMBERED.fullmatch(text))}
    meant = objects["designation"].isin(designations) | objects["number"].isin(list(numbers)).fillna(value=False)
    result: NDArray[np.bool_] = meant.to_numpy(dtype=np.bool_)
    return result


def unknown(catalogue: Catalogue, consensus: Consensus) -> list[str]:
    """The designations of a consensus that mean no object of the catalogue."""
    named = (*consensus.data_errors, *consensus.interesting)
    return [text for text in named if not rows_of(catalogue.objects, [text]).any()]


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
