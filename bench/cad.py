# SPDX-License-Identifier: GPL-3.0-or-later
"""JPL's orbits of 2020 and JPL's close approaches of 2020, joined where both are of the same orbit solution.

Orbits: every column of the Small-Body Database at full precision. Close approaches: a recorded reply of the CAD API
(https://ssd-api.jpl.nasa.gov/doc/cad.html), nominal distances to 15 digits, times (TDB) to 0.1 ms.
"""

import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gateway.neo.elements import Orbits, to_states
from gateway.neo.units import AU_KM
from gateway.simulation.bodies import Body
from gateway.simulation.nbody import MarsdenLaw

Floats = NDArray[np.float64]

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]
ORBITS_FILE: Final = "jpl_sbdb_udacity2020.csv.gz"
APPROACHES_FILE: Final = "jpl_cad_2020_udacity.json.gz"
ELEMENTS: Final = ["q", "e", "i", "om", "w", "tp", "epoch"]


@dataclass(frozen=True, slots=True)
class Published:
    """A close approach as an authority published it; `v_inf_km_s` is NaN where it is not said."""

    body: Body
    time_tdb_jd: float
    distance_km: float
    v_rel_km_s: float
    v_inf_km_s: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An object and what was published of it.

    Attributes:
        designation: JPL's primary designation.
        condition_code: how uncertain JPL thinks the orbit is, "0" (well known) to "9".
        epoch_tdb_jd: of the elements.
        state: (6,) heliocentric ecliptic J2000 there, au and au/d.
        a1_au_d2, a2_au_d2, a3_au_d2: non-gravitational accelerations at 1 au.
        marsden: how they fall with the distance from the Sun, for a comet.
        published: its close approaches.
    """

    designation: str
    condition_code: str
    epoch_tdb_jd: float
    state: Floats
    a1_au_d2: float
    a2_au_d2: float
    a3_au_d2: float
    published: tuple[Published, ...]
    marsden: MarsdenLaw | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """The join.

    Attributes:
        cases: objects whose close approaches are of the very orbit solution whose elements are known.
        approaches: how many close approaches were recorded.
        other_solution: of how many the recorded orbit solution is another; they are compared with nothing.
    """

    cases: tuple[Case, ...]
    approaches: int
    other_solution: int


def shared_folder() -> Path:
    """The folder with `data/`: the setting ORRERY_SHARED, relative to the project, default `../shared`."""
    return (PROJECT_ROOT / os.environ.get("ORRERY_SHARED", "../shared")).resolve()


def read_orbits(shared: Path) -> pd.DataFrame:
    """JPL's orbits of 2020, one row an object."""
    return pd.read_csv(shared / "data" / ORBITS_FILE, low_memory=False, dtype={"pdes": str, "condition_code": str})


def read(shared: Path) -> Matched:
    """Read both files and join them by designation and orbit solution.

    Raises:
        FileNotFoundError: a file is absent.
    """
    with gzip.open(shared / "data" / APPROACHES_FILE, "rt", encoding="utf-8") as file:
        reply = json.load(file)
    recorded = pd.DataFrame(reply["data"], columns=reply["fields"])
    orbits = read_orbits(shared)
    orbits["solution"] = orbits["orbit_id"].astype(str).str.removeprefix("JPL").str.strip()
    joined = recorded.merge(
        orbits, how="left", left_on=["des", "orbit_id"], right_on=["pdes", "solution"], suffixes=("_cad", "")
    )
    same = joined[joined["pdes"].notna()]
    cases = tuple(_case(str(name), rows) for name, rows in same.groupby("des", sort=True))
    return Matched(cases, approaches=len(recorded), other_solution=len(joined) - len(same))


def states_of(orbits: pd.DataFrame) -> Floats:
    """(N, 6) heliocentric ecliptic states at each row's own epoch."""
    states: Floats = to_states(Orbits(*(orbits[column].to_numpy(float) for column in ELEMENTS)))
    return states


def _case(designation: str, rows: pd.DataFrame) -> Case:
    first = rows.iloc[:1]
    a1, a2, a3 = first[["A1", "A2", "A3"]].astype(float).fillna(0.0).to_numpy()[0].tolist()
    published = tuple(
        Published(Body.EARTH, time_tdb_jd, distance_au * AU_KM, v_rel_km_s, v_inf_km_s)
        for time_tdb_jd, distance_au, v_rel_km_s, v_inf_km_s in rows[["jd", "dist", "v_rel", "v_inf"]]
        .astype(float)
        .to_numpy()
        .tolist()
    )
    return Case(
        designation=designation,
        condition_code=str(first["condition_code"].iloc[0]),
        epoch_tdb_jd=float(first["epoch"].iloc[0]),
        state=states_of(first)[0],
        a1_au_d2=a1,
        a2_au_d2=a2,
        a3_au_d2=a3,
        published=published,
        # JPL's A1 to A3 of comets belong to this law, those of asteroids to the inverse square.
        marsden=MarsdenLaw() if str(first["prefix"].iloc[0]) in {"C", "P", "D"} else None,
    )
