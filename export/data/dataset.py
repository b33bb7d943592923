# SPDX-License-Identifier: GPL-3.0-or-later
"""Training data: orbits with the labels their own geometry gives, real and synthetic, and the splits.

A label is computed, never copied from a catalogue: potentially hazardous by `gateway.neo.hazard` from our own Earth
MOID and H, orbit class by JPL's cuts. So a synthetic population is as good a teacher as a real one, and can be flat
where the real one is crowded.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from export.data.cleaning import MODEL_COLUMNS, ORBIT_COLUMNS
from gateway.neo.hazard import potentially_hazardous
from gateway.neo.moid import earth_moid_au
from gateway.neo.orbit_class import NEO_MAX_PERIHELION_AU, OrbitClass, classify
from gateway.neo.orbits import Orbits

CLASSES: Final = (OrbitClass.ATIRA, OrbitClass.ATEN, OrbitClass.APOLLO, OrbitClass.AMOR)
"""The classes the network tells apart, in the order of its output."""

SYNTHETIC_SEED: Final = 20_260_212
SYNTHETIC_EPOCH_TDB_JD: Final = 2_461_000.5
FIRST_YEAR_OF_TEST: Final = 2020

_SMALLEST_PERIHELION_AU: Final = 0.05
_LARGEST_ECCENTRICITY: Final = 0.99
_MAGNITUDES_H: Final = (12.0, 32.0)
_SYNTHETIC_YEARS: Final = (1990, 2026)


@dataclass(frozen=True, slots=True)
class Labelled:
    """N orbits as the models see them, with their labels.

    Attributes:
        columns: shape (N, 6), the columns of `export.data.cleaning.MODEL_COLUMNS`.
        hazardous: shape (N,), by the definition.
        orbit_class: shape (N,), index into `CLASSES`.
        real: shape (N,), whether the object exists.
    """

    columns: NDArray[np.float64]
    hazardous: NDArray[np.bool_]
    orbit_class: NDArray[np.int64]
    real: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Labelled":
        """Some rows, by index or mask."""
        return Labelled(self.columns[rows], self.hazardous[rows], self.orbit_class[rows], self.real[rows])


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint parts of one data set."""

    train: Labelled
    validation: Labelled
    test: Labelled


def concatenate(*parts: Labelled) -> Labelled:
    """All rows of several sets, in order."""
    return Labelled(
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.hazardous for part in parts]),
        np.concatenate([part.orbit_class for part in parts]),
        np.concatenate([part.real for part in parts]),
    )


def flat_orbits(count: int, seed: int) -> pd.DataFrame:
    """Orbits spread flat over perihelion distance, eccentricity, angles and H; low inclinations are favoured.

    Inclination is 180 deg u^4 for uniform u: half lie below 11 deg, where nearly all real objects are, yet
    retrograde orbits occur too.
    """
    random = np.random.default_rng(seed)
    inclination_deg = 180.0 * random.random(count) ** 4
    return pd.DataFrame(
        {
            "perihelion_distance_au": random.uniform(_SMALLEST_PERIHELION_AU, NEO_MAX_PERIHELION_AU, count),
            "eccentricity": random.uniform(0.0, _LARGEST_ECCENTRICITY, count),
            "inclination_deg": inclination_deg,
            "longitude_of_ascending_node_deg": random.uniform(0.0, 360.0, count),
            "argument_of_perihelion_deg": random.uniform(0.0, 360.0, count),
            "perihelion_time_tdb_jd": np.full(count, SYNTHETIC_EPOCH_TDB_JD),
            "epoch_tdb_jd": np.full(count, SYNTHETIC_EPOCH_TDB_JD),
            "absolute_magnitude_h": random.uniform(*_MAGNITUDES_H, count),
        }
    )


def synthetic_catalogue(count: int, seed: int) -> pd.DataFrame:
    """A stand-in with the columns of a cleaned catalogue, for machines that can have no real one."""
    years = np.random.default_rng(seed + 1).integers(*_SYNTHETIC_YEARS, count)
    orbits = flat_orbits(count, seed)
    return orbits.assign(
        designation=[f"synthetic {row}" for row in range(count)],
        number=pd.array([pd.NA] * count, dtype="Int64"),
        name="",
        uncertainty_code="",
        arc_days=np.nan,
        observations=pd.array([pd.NA] * count, dtype="Int64"),
        first_reported_year=pd.array(years, dtype="Int64"),
        catalogue_pha=pd.array([pd.NA] * count, dtype="boolean"),
        catalogue_earth_moid_au=np.nan,
        catalogue_class="",
    )


def as_orbits(objects: pd.DataFrame) -> Orbits:
    """The orbit columns of a catalogue as `gateway.neo` takes them."""
    return Orbits(**{name: objects[name].to_numpy(dtype=np.float64) for name in ORBIT_COLUMNS})


def label(objects: pd.DataFrame, *, real: bool) -> Labelled:
    """Compute the labels of orbits.

    Left out are those whose epoch lies outside the table of Earth's orbit, and those in no class of near-Earth object.

    Args:
        objects: rows with the columns of `ORBIT_COLUMNS` and `absolute_magnitude_h`.
        real: whether they exist.
    """
    moid_au = earth_moid_au(as_orbits(objects))
    columns = objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    classes = classify(columns[:, 0], columns[:, 1])
    usable = np.isfinite(moid_au) & (classes != OrbitClass.OTHER)
    return Labelled(
        columns[usable],
        potentially_hazardous(moid_au, columns[:, 5])[usable],
        np.searchsorted(CLASSES, classes[usable]).astype(np.int64),
        np.full(int(usable.sum()), real),
    )


def split_by_year(objects: pd.DataFrame, first_year: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Objects first reported before a year (or at an unknown time), and those from it on."""
    later = (objects["first_reported_year"] >= first_year).fillna(value=False).to_numpy(dtype=np.bool_)
    return objects[~later], objects[later]


def split_at_random(data: Labelled, seed: int) -> Split:
    """70 % to train on, 15 % to choose by, 15 % to test."""
    order = np.random.default_rng(seed).permutation(len(data))
    train, validation, test = np.split(order, [round(0.70 * len(data)), round(0.85 * len(data))])
    return Split(data.take(train), data.take(validation), data.take(test))
