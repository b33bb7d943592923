# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of the catalogue formats: each gives the same columns, all still text as the source wrote them.

Formats: MPC "NEA extended" (JSON list, or the same as CSV), MPCORB fixed columns (NEA.txt), JPL SBDB CSV, and the
JSON reply of the JPL SBDB Query API. A missing value is the empty text. Sources: MPC "Extended MPCORB Format",
MPC "Export Format for Minor-Planet Orbits", JPL "SBDB Query API" version 1.0.
"""

import gzip
import io
import json
import re
from datetime import date
from pathlib import Path
from typing import Any, Final

import pandas as pd

from export.data.designations import (
    DesignationError,
    is_provisional,
    unpack_epoch,
    unpack_number,
    unpack_provisional,
)
from export.errors import ExportError
from gateway.neo.units import MJD_ORIGIN_JD

RAW_COLUMNS: Final = (
    "designation", "number", "name", "comet", "h", "epoch_jd", "a", "q", "e", "i", "node", "peri", "m", "tp",
    "u", "arc_days", "arc_years", "observations", "orbit_class", "pha", "moid", "last_observation",
    "other_designations",
)  # fmt: skip

MPC_EXTENDED: Final = {
    "Principal_desig": "designation", "Number": "number", "Name": "name", "H": "h", "Epoch": "epoch_jd", "a": "a",
    "Perihelion_dist": "q", "e": "e", "i": "i", "Node": "node", "Peri": "peri", "M": "m", "Tp": "tp", "U": "u",
    "Arc_length": "arc_days", "Arc_years": "arc_years", "Num_obs": "observations", "Orbit_type": "orbit_class",
    "PHA_flag": "pha", "Last_obs": "last_observation", "Other_desigs": "other_designations",
}  # fmt: skip

JPL_SBDB: Final = {
    "full_name": "full_name", "prefix": "prefix", "H": "h", "epoch": "epoch_jd", "epoch_mjd": "epoch_mjd", "a": "a",
    "q": "q", "e": "e", "i": "i", "om": "node", "w": "peri", "ma": "m", "tp": "tp", "condition_code": "u",
    "data_arc": "arc_days", "n_obs_used": "observations", "class": "orbit_class", "pha": "pha", "moid": "moid",
    "last_obs": "last_observation",
}  # fmt: skip

# Half-open columns of MPCORB, counted from 0.
MPCORB: Final = {
    "packed": (0, 7), "h": (8, 13), "packed_epoch": (20, 25), "m": (26, 35), "peri": (37, 46), "node": (48, 57),
    "i": (59, 68), "e": (70, 79), "a": (92, 103), "u": (105, 106), "observations": (117, 122), "arc": (127, 136),
    "hex_flags": (161, 165), "readable": (166, 194), "last": (194, 202),
}  # fmt: skip

MPCORB_PHA_FLAG: Final = 0x8000
_MPCORB_LINE_LENGTH: Final = 202
_COMET_NAME: Final = re.compile(r"\d*[PCDXI]/")
_COMET_CLASSES: Final = {"HTC", "ETc", "JFc", "JFC", "CTc", "COM", "PAR", "HYP"}
_JPL_FULL_NAME: Final = re.compile(r"(?P<number>\d+)?\s*(?P<name>[^()]*?)\s*(?:\((?P<designation>[^()]+)\))?")
_MPC_READABLE: Final = re.compile(r"(?:\((?P<number>\d+)\))?\s*(?P<rest>.*)")
_JPL_QUERY_MAJOR_VERSION: Final = "1"
_UNIX_EPOCH_JD: Final = 2_440_587.5


class CatalogueFormatError(ExportError):
    """A file is in none of the formats known here."""


def read(path: Path) -> pd.DataFrame:
    """Read a catalogue file, gzipped or not, in whichever of the known formats it is.

    Returns:
        A frame of `RAW_COLUMNS`, every value text, one row an object in the file's order.

    Raises:
        CatalogueFormatError: the content is in no known format.
        OSError: the file cannot be read.
    """
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, origin: str) -> pd.DataFrame:
    """As `read`, for content already in memory; `origin` is named in errors."""
    try:
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8")
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise CatalogueFormatError(f"{origin}: neither text nor gzipped text: {error}") from error
    start = text.lstrip()[:1]
    if start in ("[", "{"):
        return _parse_json(text, origin)
    header = text.partition("\n")[0].split(",")
    if "Principal_desig" in header or "full_name" in header:
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        return _mpc_extended(frame) if "Principal_desig" in header else _jpl_sbdb(frame)
    return _mpcorb(text, origin)


def _parse_json(text: str, origin: str) -> pd.DataFrame:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CatalogueFormatError(f"{origin}: broken JSON: {error}") from error
    if isinstance(content, list) and content and "Principal_desig" in content[0]:
        return _mpc_extended(_as_text(pd.DataFrame.from_records(content)))
    if isinstance(content, dict) and "fields" in content and "data" in content:
        version = str(content.get("signature", {}).get("version", ""))
        if version.partition(".")[0] != _JPL_QUERY_MAJOR_VERSION:
            raise CatalogueFormatError(f"{origin}: a reply of JPL's Query API in version {version!r}, not 1.x")
        return _jpl_sbdb(_as_text(pd.DataFrame(content["data"], columns=content["fields"])))
    raise CatalogueFormatError(f"{origin}: JSON, but neither the MPC's list nor a reply of JPL's Query API")


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as the shortest text that gives them back, lists joined by commas, missing values as the empty text."""

    def text(value: Any) -> str:
        if isinstance(value, list):
            return ",".join(str(item) for item in value)
        return "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN is what differs from itself

    return frame.map(text)


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    """All raw columns in their order, stripped of padding."""
    filled = frame.fillna("").reindex(columns=list(RAW_COLUMNS), fill_value="").astype(str)
    return pd.DataFrame({name: filled[name].str.strip() for name in RAW_COLUMNS})


def _mpc_extended(source: pd.DataFrame) -> pd.DataFrame:
    frame = source[[name for name in MPC_EXTENDED if name in source]].rename(columns=MPC_EXTENDED)
    if "number" in frame:
        frame["number"] = frame["number"].str.extract(r"(\d+)", expand=False).fillna("")
    if "pha" not in frame:
        frame["pha"] = ""
    # The list writes the flag where it is true and leaves it out elsewhere.
    frame["pha"] = pd.to_numeric(frame["pha"], errors="coerce").eq(1.0).map({True: "Y", False: "N"})
    return _complete(frame)


def _jpl_sbdb(source: pd.DataFrame) -> pd.DataFrame:
    frame = source[[name for name in JPL_SBDB if name in source]].rename(columns=JPL_SBDB)
    full_name = frame["full_name"].str.strip()
    parts = pd.DataFrame.from_records([_jpl_name_parts(text) for text in full_name], index=frame.index)
    frame = pd.concat([frame, parts], axis=1)
    is_comet = full_name.str.match(_COMET_NAME)
    if "orbit_class" in frame:
        is_comet |= frame["orbit_class"].isin(_COMET_CLASSES)
    if "prefix" in frame:
        is_comet |= frame["prefix"].str.strip().isin(["P", "C", "D", "X", "I"])
    frame["comet"] = is_comet.map({True: "Y", False: ""})
    if "epoch_jd" not in frame and "epoch_mjd" in frame:
        frame["epoch_jd"] = (pd.to_numeric(frame["epoch_mjd"], errors="coerce") + MJD_ORIGIN_JD).astype(str)
    return _complete(frame)


def _jpl_name_parts(full_name: str) -> dict[str, str]:
    match = None if _COMET_NAME.match(full_name) else _JPL_FULL_NAME.fullmatch(full_name)
    if not match:
        return {"designation": full_name, "number": "", "name": ""}
    parts = {key: (value or "").strip() for key, value in match.groupdict().items()}
    parts["designation"] = parts["designation"] or parts["number"]
    return parts


def _mpcorb(text: str, origin: str) -> pd.DataFrame:
    lines = text.splitlines()
    rules = [row for row, line in enumerate(lines) if line.startswith("-----")]
    body = [line for line in lines[rules[0] + 1 if rules else 0 :] if line.strip()]
    if not body or any(len(line) < _MPCORB_LINE_LENGTH for line in body):
        raise CatalogueFormatError(f"{origin}: neither a known table nor lines in the MPCORB format")
    return _complete(pd.DataFrame.from_records([_mpcorb_row(line) for line in body]))


def _mpcorb_row(line: str) -> dict[str, str]:
    row = {name: line[start:end].strip() for name, (start, end) in MPCORB.items()}
    readable = _MPC_READABLE.fullmatch(row["readable"])
    rest = readable["rest"].strip() if readable else ""
    try:
        if len(row["packed"]) == 5:
            row["number"] = str(unpack_number(row["packed"]))
            row["designation"] = rest if is_provisional(rest) else row["number"]
            row["name"] = "" if is_provisional(rest) else rest
        else:
            row["designation"] = unpack_provisional(row["packed"])
    except DesignationError:
        row["designation"] = ""
    try:
        year, month, day = unpack_epoch(row["packed_epoch"])
        midnight_jd = _UNIX_EPOCH_JD + (date(year, month, day) - date(1970, 1, 1)).days
        row["epoch_jd"] = str(midnight_jd)
    except ValueError:
        row["epoch_jd"] = ""
    row["arc_days" if row["arc"].endswith("days") else "arc_years"] = row["arc"].removesuffix("days")
    try:
        row["pha"] = "Y" if int(row["hex_flags"], 16) & MPCORB_PHA_FLAG else "N"
    except ValueError:
        row["pha"] = ""
    last = row["last"]
    row["last_observation"] = f"{last[:4]}-{last[4:6]}-{last[6:8]}" if len(last) == 8 else ""
    return row
