# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects whose answer is known: of a catalogue by the exact rule, or of a list that somebody who knows has made.

Both are CSV with a header, `.gz` or plain. A catalogue has `designation`, `perihelion_distance_au`, `eccentricity`,
`inclination_deg`, `longitude_of_ascending_node_deg`, `argument_of_perihelion_deg`, `epoch_tdb_jd` and
`absolute_magnitude_h` (the columns of the data set that `make dataset` writes); a list has `designation` and `label`.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Final

import numpy as np

from gateway.feedback.labels import QUESTION_OF, label_of
from gateway.neo.earth_orbit import covered
from gateway.neo.hazard import PHA_MAX_ABSOLUTE_MAGNITUDE_H, PHA_MAX_EARTH_MOID_AU, potentially_hazardous
from gateway.neo.moid import earth_moid_au
from gateway.neo.orbit_class import OrbitClass, classify
from gateway.neo.orbits import Orbits
from orrery.inference import v1

EXACT_RULE: Final = "exact rule"
LIST: Final = "list"

# A picture shows no more: objects nearer than this to a bound of the definitions are left out.
_MARGIN_MOID_AU: Final = 0.005
_MARGIN_H: Final = 0.3
_MARGIN_AU: Final = 0.02

_COLUMNS: Final = (
    "perihelion_distance_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
    "epoch_tdb_jd",
    "absolute_magnitude_h",
)
_CLASS_LABELS: Final[Mapping[int, int]] = {
    OrbitClass.ATIRA: v1.CLASSIFICATION_LABEL_ATIRA,
    OrbitClass.ATEN: v1.CLASSIFICATION_LABEL_ATEN,
    OrbitClass.APOLLO: v1.CLASSIFICATION_LABEL_APOLLO,
    OrbitClass.AMOR: v1.CLASSIFICATION_LABEL_AMOR,
}


@dataclass(frozen=True, slots=True)
class Gold:
    """An object, and the answer to one question about it."""

    designation: str
    label: int
    source: str

    @property
    def question(self) -> int:
        """Its number in the contract."""
        return QUESTION_OF[self.label]


def choose_from_catalogue(path: Path, per_class: int, seed: int) -> list[Gold]:
    """Objects of a catalogue, the same for the same seed: so many for each answer to HAZARD and ORBIT_CLASS, if known.

    Raises:
        OSError: the file cannot be read.
        ValueError: a column is missing, or a value is no number.
    """
    rows = list(_rows(path, ("designation", *_COLUMNS)))
    names = [row["designation"] for row in rows]
    columns = np.array([[float(row[name] or "nan") for name in _COLUMNS] for row in rows]).reshape(-1, len(_COLUMNS))
    known = np.isfinite(columns).all(axis=1) & covered(columns[:, 5])
    columns, names = columns[known], [names[row] for row in np.flatnonzero(known)]
    q, e, inclination, node, argument, epoch, magnitude = columns.T
    orbits = Orbits(q, e, inclination, node, argument, perihelion_time_tdb_jd=epoch, epoch_tdb_jd=epoch)
    candidates: defaultdict[int, list[str]] = defaultdict(list)
    for name, label in chain(_hazards(names, orbits, magnitude), _classes(names, orbits)):
        candidates[label].append(name)
    random = np.random.default_rng(seed)
    chosen = []
    for label, found in sorted(candidates.items()):
        picked = random.permutation(sorted(set(found)))[:per_class]
        chosen += [Gold(str(name), label, EXACT_RULE) for name in picked]
    return chosen


def read_list(path: Path) -> list[Gold]:
    """The objects of a list.

    Raises:
        OSError: the file cannot be read.
        ValueError: a column is missing, or a label does not exist.
    """
    return [Gold(row["designation"], label_of(row["label"]), LIST) for row in _rows(path, ("designation", "label"))]


def _hazards(names: list[str], orbits: Orbits, magnitude_h: np.ndarray) -> Iterator[tuple[str, int]]:
    moid_au = earth_moid_au(orbits)
    hazardous = potentially_hazardous(moid_au, magnitude_h)
    clear = (np.abs(moid_au - PHA_MAX_EARTH_MOID_AU) > _MARGIN_MOID_AU) & (
        np.abs(magnitude_h - PHA_MAX_ABSOLUTE_MAGNITUDE_H) > _MARGIN_H
    )
    for row in np.flatnonzero(clear):
        yield (
            names[row],
            v1.CLASSIFICATION_LABEL_HAZARDOUS if hazardous[row] else v1.CLASSIFICATION_LABEL_NOT_HAZARDOUS,
        )


def _classes(names: list[str], orbits: Orbits) -> Iterator[tuple[str, int]]:
    """Those that stay in their class when q or Q moves by the margin."""
    q, aphelion = orbits.perihelion_distance_au, orbits.aphelion_distance_au
    found = [
        classify(near, (far - near) / (far + near))
        for near, far in (
            (q, aphelion),
            (q - _MARGIN_AU, aphelion),
            (q + _MARGIN_AU, aphelion),
            (q, aphelion - _MARGIN_AU),
            (q, aphelion + _MARGIN_AU),
        )
        if (near > 0).all() and (far > near).all()
    ]
    clear = np.logical_and.reduce([one == found[0] for one in found])
    for row in np.flatnonzero(clear):
        if label := _CLASS_LABELS.get(int(found[0][row])):
            yield names[row], label


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    with _text(path) as file:
        reader = csv.DictReader(file)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        yield from reader


def _text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
