# SPDX-License-Identifier: GPL-3.0-or-later
"""ESA NEOCC's risk lists and close-approach lists, kept as Parquet.

They are there to compare with: impact probabilities and Palermo values with `EstimateImpact`, close approaches with
`Simulate`. No model is trained on them and no reply of a service contains them.

Source: ESA NEO Coordination Centre, "Automated Data Access" (https://neo.ssa.esa.int/computer-access; called
experimental there: the lists may change without warning). Each is text: a line "Last Update: …", two lines of
headings, one that shows the format, then rows whose columns are divided by "|". Credit: ESA/NEOCC.
"""

import enum
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from export.data import parquet
from export.data.designations import is_provisional
from export.data.fetch import Download, Fetcher
from export.errors import ExportError
from export.progress import Progress, silent

DOWNLOAD_URL: Final = "https://neo.ssa.esa.int/PSDB-portlet/download"

_HEADER_LINES: Final = 4
_UPDATED: Final = re.compile(r"Last Update: (\d{4}-\d\d-\d\d \d\d:\d\d) UTC")
_COMPACT: Final = re.compile(r"(?P<first>A?\d{3,4})(?P<second>[A-Z][A-Z]?\d*|P-L|T-[123])")


class NeoccList(enum.StrEnum):
    """The lists, by their file names at NEOCC."""

    RISK = "esa_risk_list"
    SPECIAL_RISK = "esa_special_risk_list"
    UPCOMING_APPROACHES = "esa_upcoming_close_app"
    RECENT_APPROACHES = "esa_recent_close_app"


class NeoccFormatError(ExportError):
    """A text is not the list it is said to be; the message names the line."""


# Third line of headings, and what each column is called here. "flag" is true where the list has an asterisk.
_RISK: Final = {
    "m": ("diameter_m", "number"),
    "*=Y": ("diameter_estimated_from_h", "flag"),
    "Date/Time": ("most_probable_impact", "time"),
    "IP max": ("impact_probability_max", "number"),
    "PS max": ("palermo_scale_max", "number"),
    "TS": ("torino_scale", "number"),
    "Vel km/s": ("entry_velocity_km_s", "number"),
    "Years": ("years", "years"),
    "IP cum": ("impact_probability_cumulative", "number"),
    "PS cum": ("palermo_scale_cumulative", "number"),
}
_SPECIAL_RISK: Final = dict(list(_RISK.items())[:7])
# The two magnitudes share a heading: the second is told by its place.
_APPROACHES: Final = {
    "Date": ("approach_date", "time"),
    "km": ("miss_distance_km", "number"),
    "au": ("miss_distance_au", "number"),
    "LD": ("miss_distance_lunar", "number"),
    "m": ("diameter_m", "number"),
    "*=Yes": ("diameter_estimated_from_h", "flag"),
    "mag": ("absolute_magnitude_h", "number"),
    "mag 2": ("brightest_magnitude_v", "number"),
    "km/s": ("relative_velocity_km_s", "number"),
}
_COLUMNS: Final = {
    NeoccList.RISK: _RISK,
    NeoccList.SPECIAL_RISK: _SPECIAL_RISK,
    NeoccList.UPCOMING_APPROACHES: _APPROACHES,
    NeoccList.RECENT_APPROACHES: _APPROACHES,
}
_TYPES: Final = {"number": "float64", "flag": "bool", "time": "datetime64[ms]"}
_REQUIRED: Final = {"most_probable_impact", "impact_probability_max", "approach_date", "miss_distance_km"}


@dataclass(frozen=True, slots=True)
class NeoccTable:
    """One list: its rows, and when NEOCC made it (UTC, "YYYY-MM-DD HH:MM")."""

    rows: pd.DataFrame
    updated_utc: str


def parse(text: str, which: NeoccList) -> NeoccTable:
    """Read one list; a list without rows is an empty table with all its columns.

    Returns:
        `designation` ("2021 QM1"; of a numbered object its number as text), `number`, `name`, then the columns of the
        list in the units of their names. Times are as printed, without a zone. A number that is missing is NaN.

    Raises:
        NeoccFormatError: the headings are not those of this list, or a row cannot be read.
    """
    lines = text.splitlines()
    updated = _UPDATED.match(lines[0].strip()) if lines else None
    if updated is None or len(lines) < _HEADER_LINES:
        raise NeoccFormatError(f"{which}: no list of NEOCC's: its first line is {lines[0][:60] if lines else ''!r}")
    columns = _COLUMNS[which]
    headings = _headings(lines[2])
    if headings[: len(columns)] != list(columns):
        raise NeoccFormatError(f"{which}: other columns than were documented: {headings}")
    rows = [
        _row(line, number, which)
        for number, line in enumerate(lines[_HEADER_LINES:], start=_HEADER_LINES + 1)
        if line.strip()
    ]
    names = ["designation", "number", "name"]
    for name, kind in columns.values():
        names += ["first_year", "last_year"] if kind == "years" else [name]
    frame = pd.DataFrame.from_records(rows, columns=names)
    types = {name: _TYPES[kind] for name, kind in columns.values() if kind != "years"}
    years = {name: "int64" for name in ("first_year", "last_year") if name in names}
    return NeoccTable(frame.astype({"number": "Int64", **types, **years}), updated[1])


def _headings(line: str) -> list[str]:
    """The headings after that of the object, with a repeated one made distinct."""
    found = [" ".join(cell.split()) for cell in line.split("|")[1:]]
    while found and not found[-1]:
        found.pop()
    return [f"{text} 2" if text in found[:place] else text for place, text in enumerate(found)]


def _row(line: str, number: int, which: NeoccList) -> dict[str, Any]:
    cells = [cell.strip() for cell in line.split("|")]
    columns = _COLUMNS[which]
    if len(cells) <= len(columns):
        raise NeoccFormatError(f"{which}, line {number}: {len(cells)} columns, the line is cut short")
    row: dict[str, Any] = dict(zip(("designation", "number", "name"), _object(cells[0]), strict=True))
    for cell, (name, kind) in zip(cells[1:], columns.values(), strict=False):
        try:
            if kind == "years":
                row["first_year"], row["last_year"] = (int(part) for part in cell.split("-"))
            else:
                row[name] = _value(cell, kind, required=name in _REQUIRED)
        except ValueError as error:
            raise NeoccFormatError(f"{which}, line {number}: {name} is {cell!r}") from error
    return row


def _value(cell: str, kind: str, *, required: bool) -> Any:
    if kind == "flag":
        return cell == "*"
    if kind == "time":
        return pd.Timestamp(cell).to_datetime64().astype("datetime64[ms]")
    try:
        return float(cell)
    except ValueError:
        # The Torino scale is "n/a" where it is not defined; what the list is about must be there.
        if required or cell not in {"", "-", "n/a", "N/A"}:
            raise
        return np.nan


def _object(cell: str) -> tuple[str, int | None, str]:
    """Designation, number and name of an object: "620082 2014QL433", "99942 Apophis", "2021QM1"."""
    first, _, rest = cell.partition(" ")
    rest = rest.strip()
    number = int(first) if first.isdecimal() else None
    compact = rest if number is not None else cell
    match = _COMPACT.fullmatch(compact)
    spaced = f"{match['first']} {match['second']}" if match else compact
    if is_provisional(spaced):
        return spaced, number, ""
    return (str(number), number, rest) if number is not None else (spaced, None, "")


def fetch(which: NeoccList, folder: Path, fetcher: Fetcher, url: str = DOWNLOAD_URL) -> Path:
    """Fetch one list if it has changed, and keep it as `<folder>/<list>.parquet` with its provenance inside.

    Raises:
        export.data.fetch.FetchError: no answer.
        NeoccFormatError: the answer is not that list.
    """
    download: Download = fetcher.get_if_changed(url, folder / "files", {"file": str(which)})
    table = parse(download.content.decode("utf-8", errors="replace"), which)
    path = folder / f"{which}.parquet"
    provenance = {
        "source": download.source,
        "date": download.date,
        "updated_utc": table.updated_utc,
        "rows": len(table.rows),
        "credit": "ESA NEO Coordination Centre",
    }
    parquet.write(table.rows, path, provenance)
    return path


def fetch_all(
    folder: Path, fetcher: Fetcher | None = None, url: str = DOWNLOAD_URL, progress: Progress = silent
) -> dict[NeoccList, Path]:
    """Every list, one after the other; raises as `fetch` for the first that fails."""
    patient = fetcher or Fetcher()
    paths = {}
    for done, which in enumerate(NeoccList):
        progress(f"reading NEOCC's {which}", done / len(NeoccList))
        paths[which] = fetch(which, folder, patient, url)
    progress("NEOCC's lists are kept", 1.0)
    return paths
