# SPDX-License-Identifier: GPL-3.0-or-later
"""From the text of a catalogue to numbers that can be computed with, and a word on every row that is left out."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from export.data.designations import first_reported_year
from gateway.neo.earth_orbit import SPAN_TDB_JD, covered
from gateway.neo.orbit_class import NEO_MAX_PERIHELION_AU
from gateway.neo.units import GM_SUN_AU3_D2, JULIAN_YEAR_D

MODEL_COLUMNS: Final = (
    "perihelion_distance_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
    "absolute_magnitude_h",
)
"""The raw columns both models take, in their order."""

ORBIT_COLUMNS: Final = (*MODEL_COLUMNS[:5], "perihelion_time_tdb_jd", "epoch_tdb_jd")

# 99.99 is the MPC's placeholder; the faintest near-Earth objects known are near H = 34.
_FAINTEST_MAGNITUDE_H: Final = 40.0
_BRIGHTEST_MAGNITUDE_H: Final = -5.0
# A modified Julian date taken for a Julian one ends here too; the labels need Earth's orbit at the epoch.
_EPOCH_REASON: Final = f"epoch outside JD {SPAN_TDB_JD[0]:.1f} to {SPAN_TDB_JD[1]:.1f}"
# In units of max(a, 1 au): JPL's tables without full precision round a, e and q to four digits.
_PERIHELION_TOLERANCE: Final = 2e-3


@dataclass(frozen=True, slots=True)
class CleaningReport:
    """What cleaning left out and what it let pass with a remark.

    Attributes:
        rows_read: rows of the source.
        rows_kept: rows that are left.
        dropped: one row for each dropped one: `row` (from 0 in the source), `designation`, `reason`.
        remarks: how many kept rows have each peculiarity.
    """

    rows_read: int
    rows_kept: int
    dropped: pd.DataFrame
    remarks: dict[str, int]

    def reasons(self) -> dict[str, int]:
        """How many rows were dropped for each reason, the most frequent first."""
        return dict(Counter(self.dropped["reason"]).most_common())


def _numbers(text: "pd.Series[str]") -> NDArray[np.float64]:
    """Text as float64, NaN where it is empty or no number."""
    return pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)


def _whole_numbers(text: "pd.Series[str]") -> "pd.Series[int]":
    """Text as nullable integers, missing where it is empty or no whole number."""
    numbers = pd.to_numeric(text, errors="coerce")
    return numbers.where(numbers % 1.0 == 0.0).astype("Int64")


def _perihelion_time(raw: pd.DataFrame, q_au: NDArray[np.float64], e: NDArray[np.float64]) -> NDArray[np.float64]:
    """The given time of perihelion, or the one nearest the epoch by Kepler's third law from the mean anomaly."""
    anomaly_deg = np.mod(_numbers(raw["m"]) + 180.0, 360.0) - 180.0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_motion_deg_d = np.degrees(np.sqrt(GM_SUN_AU3_D2 * ((1.0 - e) / q_au) ** 3))
        computed = _numbers(raw["epoch_jd"]) - anomaly_deg / mean_motion_deg_d
    given = _numbers(raw["tp"])
    return np.where(np.isfinite(given), given, computed)


def _orbits(raw: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """The orbit columns, and where a given perihelion distance contradicts a (1 - e)."""
    e = _numbers(raw["e"])
    q_given_au = _numbers(raw["q"])
    with np.errstate(invalid="ignore"):
        a_au = _numbers(raw["a"])
        q_computed_au = a_au * (1.0 - e)
        tolerance_au = _PERIHELION_TOLERANCE * np.maximum(np.abs(a_au), 1.0)
        contradicts = np.abs(q_given_au - q_computed_au) > tolerance_au
    q_au = np.where(np.isfinite(q_given_au), q_given_au, q_computed_au)
    orbits = pd.DataFrame(
        {
            "perihelion_distance_au": q_au,
            "eccentricity": e,
            "inclination_deg": _numbers(raw["i"]),
            "longitude_of_ascending_node_deg": np.mod(_numbers(raw["node"]), 360.0),
            "argument_of_perihelion_deg": np.mod(_numbers(raw["peri"]), 360.0),
            "perihelion_time_tdb_jd": _perihelion_time(raw, q_au, e),
            "epoch_tdb_jd": _numbers(raw["epoch_jd"]),
        },
        index=raw.index,
    )
    return orbits, contradicts


def _arc_days(raw: pd.DataFrame) -> NDArray[np.float64]:
    """Observed arc; from "1893-2026" only to the year."""
    years = raw["arc_years"].str.extract(r"^(\d{4})-(\d{4})$")
    from_years = (_numbers(years[1]) - _numbers(years[0])) * JULIAN_YEAR_D
    given = _numbers(raw["arc_days"])
    return np.where(np.isfinite(given), given, from_years)


def _first_reported_years(raw: pd.DataFrame) -> Any:
    """The year of the first report under any designation, so that no object known before counts as discovered later."""

    def earliest(principal: str, others: str) -> int | None:
        years = [first_reported_year(text.strip()) for text in (principal, *others.split(","))]
        return min((year for year in years if year is not None), default=None)

    pairs = zip(raw["designation"], raw["other_designations"], strict=True)
    return pd.array([earliest(principal, others) for principal, others in pairs], dtype="Int64")


def _drop_reasons(raw: pd.DataFrame, orbits: pd.DataFrame, contradicts: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Why each row cannot be used; the empty text where it can. The first reason of the list wins."""
    magnitude_h = _numbers(raw["h"])
    q_au = orbits["perihelion_distance_au"].to_numpy()
    e = orbits["eccentricity"].to_numpy()
    inclination_deg = orbits["inclination_deg"].to_numpy()
    conditions = {
        "comet": raw["comet"].eq("Y").to_numpy(),
        "no designation": raw["designation"].eq("").to_numpy(),
        "orbit incomplete or not numeric": ~np.isfinite(orbits.to_numpy()).all(axis=1),
        _EPOCH_REASON: ~covered(orbits["epoch_tdb_jd"].to_numpy()),
        "orbit impossible": (q_au <= 0.0) | (e < 0.0) | (inclination_deg < 0.0) | (inclination_deg > 180.0),
        "perihelion distance contradicts a (1 - e)": contradicts,
        "not bound to the Sun": e >= 1.0,
        "not near-Earth: q >= 1.3 au": q_au >= NEO_MAX_PERIHELION_AU,
        "H missing": raw["h"].eq("").to_numpy(),
        "H not numeric": ~np.isfinite(magnitude_h),
        "H is a placeholder": (magnitude_h > _FAINTEST_MAGNITUDE_H) | (magnitude_h < _BRIGHTEST_MAGNITUDE_H),
    }
    return np.select(list(conditions.values()), list(conditions), default="").astype(object)


def _later_duplicates(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows that repeat an object: of one designation or number, the newest epoch and longest record stays."""
    order = frame.sort_values(["epoch_tdb_jd", "observations"], ascending=False, kind="stable", na_position="last")
    repeats = order["designation"].duplicated() | (order["number"].notna() & order["number"].duplicated())
    return repeats.reindex(frame.index).to_numpy(dtype=np.bool_)


def clean(raw: pd.DataFrame) -> tuple[pd.DataFrame, CleaningReport]:
    """Turn a raw catalogue into numbers, leaving out what cannot be used.

    Args:
        raw: what `export.data.readers` gives.

    Returns:
        The objects, one row each: `designation`, `number`, `name`, the columns of `ORBIT_COLUMNS`,
        `absolute_magnitude_h`, `uncertainty_code` (text: "0" to "9", the MPC's "E", or empty), `arc_days`,
        `observations`, `first_reported_year`, and as the source says `catalogue_pha`, `catalogue_earth_moid_au`,
        `catalogue_class`; and the report.
    """
    orbits, contradicts = _orbits(raw)
    reasons = _drop_reasons(raw, orbits, contradicts)
    frame = orbits.assign(
        designation=raw["designation"],
        number=_whole_numbers(raw["number"]),
        name=raw["name"],
        absolute_magnitude_h=_numbers(raw["h"]),
        uncertainty_code=raw["u"],
        arc_days=_arc_days(raw),
        observations=_whole_numbers(raw["observations"]),
        first_reported_year=_first_reported_years(raw),
        catalogue_pha=raw["pha"].map({"Y": True, "N": False}).astype("boolean"),
        catalogue_earth_moid_au=_numbers(raw["moid"]),
        catalogue_class=raw["orbit_class"],
    )
    usable = reasons == ""
    repeated = usable.copy()
    repeated[usable] = _later_duplicates(frame[usable])
    reasons[repeated] = "repeats another row"
    kept = frame[reasons == ""]
    dropped = pd.DataFrame(
        {
            "row": np.flatnonzero(reasons != ""),
            "designation": raw["designation"][reasons != ""].to_numpy(),
            "reason": reasons[reasons != ""],
        }
    )
    common_epoch = kept["epoch_tdb_jd"].mode()
    remarks = {
        "another epoch than most": int((kept["epoch_tdb_jd"] != common_epoch.iloc[0]).sum()) if len(kept) else 0,
        "uncertainty code missing": int(kept["uncertainty_code"].eq("").sum()),
        "uncertainty code not a number": int(kept["uncertainty_code"].str.fullmatch(r"\D+").sum()),
        "year of discovery unknown": int(kept["first_reported_year"].isna().sum()),
    }
    columns = ["designation", "number", "name", *ORBIT_COLUMNS, "absolute_magnitude_h"]
    columns += [name for name in frame.columns if name not in columns]
    report = CleaningReport(len(raw), len(kept), dropped, remarks)
    return kept[columns].reset_index(drop=True), report
