# SPDX-License-Identifier: GPL-3.0-or-later
"""The labelled catalogue as files: two splits in Parquet, with provenance and sums, the same for the same seed.

`random/` is 70 % to train, 15 % to choose by, 15 % to test. `by_date/` tests on objects first reported from a year on
and divides the earlier ones 85 to 15. The year is that of the earliest provisional designation the catalogue names for
an object: the MPC gives one on the first report. It is not the first observation of the arc (JPL's first_obs): that may
be an image found later in an archive, years older than the discovery. Objects whose year is unknown are never tested
on. The orbits are of the catalogue's own day in both: the date says who was unknown, not what was known of them then.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from export.data import parquet
from export.data.catalogue import Catalogue, cleaning_rules
from export.data.dataset import CLASSES, FIRST_YEAR_OF_TEST, as_orbits, split_by_year
from export.data.fetch import write_whole
from export.progress import Progress, silent
from gateway.neo.hazard import potentially_hazardous
from gateway.neo.moid import earth_moid_au
from gateway.neo.orbit_class import classify

DATASET_SEED: Final = 3
MANIFEST_FILE: Final = "dataset.json"
UNLABELLED_FILE: Final = "unlabelled.csv"
DROPPED_FILE: Final = "dropped.csv"


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """What was written.

    Attributes:
        folder: where.
        sha256: hexadecimal sum of each Parquet file, by its path below the folder.
        rows: how many objects each holds.
        manifest: path of the JSON that says all this, with the provenance.
    """

    folder: Path
    sha256: dict[str, str]
    rows: dict[str, int]
    manifest: Path


def labelled_objects(objects: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The objects with `earth_moid_au`, `hazardous` and `orbit_class` beside them, and those that have no label.

    A label is missing where our table of Earth's orbit does not reach the epoch, or the orbit is in no NEO class.
    """
    moid_au = earth_moid_au(as_orbits(objects))
    classes = classify(objects["perihelion_distance_au"].to_numpy(), objects["eccentricity"].to_numpy())
    names = {int(one): one.name for one in CLASSES}
    labelled = objects.assign(
        earth_moid_au=moid_au,
        hazardous=potentially_hazardous(moid_au, objects["absolute_magnitude_h"].to_numpy()),
        orbit_class=[names.get(int(number), "") for number in classes],
    )
    usable = np.isfinite(moid_au) & (labelled["orbit_class"] != "").to_numpy()
    return labelled[usable].reset_index(drop=True), labelled[~usable].reset_index(drop=True)


def _parts(objects: pd.DataFrame, seed: int, **fractions: float) -> dict[str, pd.DataFrame]:
    """Disjoint parts by a seeded permutation, each in the catalogue's order; the last takes what rounding leaves."""
    order = np.random.default_rng(seed).permutation(len(objects))
    cuts = [round(cut * len(objects)) for cut in np.cumsum(list(fractions.values()))[:-1]]
    pieces = np.split(order, cuts)
    return {name: objects.iloc[np.sort(piece)] for name, piece in zip(fractions, pieces, strict=True)}


def write_dataset(
    catalogue: Catalogue,
    folder: Path,
    *,
    seed: int = DATASET_SEED,
    first_test_year: int = FIRST_YEAR_OF_TEST,
    progress: Progress = silent,
) -> DatasetFiles:
    """Label a catalogue by our own MOID, split it twice, and write both splits.

    The same catalogue, seed and year give the same bytes, file by file, with the same version of pyarrow.

    Args:
        catalogue: from `export.data.catalogue.load`.
        folder: gets `random/` and `by_date/`, each with train, validation and test.parquet, `dataset.json`, and the
            rows that cleaning or labelling left out as CSV.
        seed: of both splits.
        first_test_year: objects first reported from it on are the test of `by_date/`.
        progress: called with what is done and how far.

    Raises:
        OSError: a file cannot be written.
    """
    progress("labelling the catalogue", 0.0)
    labelled, unlabelled = labelled_objects(catalogue.objects)
    progress("writing the splits", 0.6)
    earlier, later = split_by_year(labelled, first_test_year)
    splits = {
        "random": _parts(labelled, seed, train=0.70, validation=0.15, test=0.15),
        "by_date": {**_parts(earlier, seed, train=0.85, validation=0.15), "test": later},
    }
    origin = {
        "catalogue": asdict(catalogue.provenance),
        "cleaning_rules": cleaning_rules(),
        "seed": seed,
        "first_test_year": first_test_year,
    }
    sums: dict[str, str] = {}
    facts: dict[str, Any] = {}
    for split, parts in splits.items():
        for part, rows in parts.items():
            name = f"{split}/{part}.parquet"
            sums[name] = parquet.write(rows, folder / name, {**origin, "split": split, "part": part})
            facts[name] = {"rows": len(rows), "sha256": sums[name], **_counts(rows)}
    unlabelled[["designation", "epoch_tdb_jd"]].to_csv(folder / UNLABELLED_FILE, index=False)
    if catalogue.report is not None:
        catalogue.report.dropped.to_csv(folder / DROPPED_FILE, index=False)
    year_unknown = int(labelled["first_reported_year"].isna().sum())
    manifest = {**origin, "year_unknown": year_unknown, "unlabelled": len(unlabelled), "files": facts}
    write_whole(folder / MANIFEST_FILE, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    progress("data set written", 1.0)
    return DatasetFiles(folder, sums, {name: fact["rows"] for name, fact in facts.items()}, folder / MANIFEST_FILE)


def _counts(rows: pd.DataFrame) -> Mapping[str, Any]:
    return {
        "hazardous": int(rows["hazardous"].sum()),
        "orbit_classes": {one.name: int((rows["orbit_class"] == one.name).sum()) for one in CLASSES},
    }
