# SPDX-License-Identifier: Apache-2.0
"""Orbits of many objects in the form that a caller has them, and answers in the same form.

Columns are named as the fields of `OrbitColumns`, with their units. numpy and pandas are loaded only for who brings
their data in them.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from google.protobuf.message import Message

from orrery.inference import v1

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

COLUMN_NAMES: Final = tuple(field.name for field in v1.OrbitColumns.DESCRIPTOR.fields)

_REQUIRED: Final = (
    "epoch_tdb_jd",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
)
_SIZES: Final = ("semi_major_axis_au", "perihelion_distance_au")
_SHORT_NAMES: Final = {
    "a": "semi_major_axis_au",
    "q": "perihelion_distance_au",
    "e": "eccentricity",
    "i": "inclination_deg",
    "incl": "inclination_deg",
    "om": "longitude_of_ascending_node_deg",
    "node": "longitude_of_ascending_node_deg",
    "w": "argument_of_perihelion_deg",
    "peri": "argument_of_perihelion_deg",
    "h": "absolute_magnitude_h",
    "epoch": "epoch_tdb_jd",
}

PART_ROWS: Final = 16_384
"""Of one request: as many as the servers themselves work on at a time; 1 MB."""


class Table(Protocol):
    """Columns of N orbits."""

    rows: int

    def part(self, rows: slice) -> v1.OrbitColumns:
        """Some of the rows as a message."""

    def answer(self, reply: Message) -> Any:
        """The columns of a reply to all rows, in this table's form."""


class MessageTable:
    """Columns in the contract's own message."""

    def __init__(self, columns: v1.OrbitColumns) -> None:
        self._columns = columns
        self.rows = max(len(getattr(columns, name)) for name in COLUMN_NAMES)

    def part(self, rows: slice) -> v1.OrbitColumns:
        """Some of the rows; one epoch stands for all."""
        return v1.OrbitColumns(**{name: part_of(getattr(self._columns, name), rows) for name in COLUMN_NAMES})

    def answer(self, reply: Message) -> Message:
        """The reply as it is."""
        return reply


def part_of(column: Any, rows: slice) -> Any:
    """Some rows of a column; a column of one value stands for all rows."""
    return column if len(column) == 1 else column[rows]


def table_of(orbits: Any) -> Table:
    """A caller's columns.

    Args:
        orbits: an `OrbitColumns`, a pandas DataFrame, a numpy structured array, or a mapping of names to columns.

    Raises:
        TypeError: it is none of these.
        ValueError: a column is missing, has no rows, another length than the others, or a name that is none of
            `COLUMN_NAMES`; or a cell is no number. Cells are named as `eccentricity[3]`, rows counted from 0.
        ModuleNotFoundError: the extra that reads it is not installed.
    """
    if isinstance(orbits, v1.OrbitColumns):
        return MessageTable(orbits)
    if "pandas" in sys.modules and isinstance(orbits, sys.modules["pandas"].DataFrame):
        return _load("frames", "pandas").FrameTable(orbits)  # type: ignore[no-any-return]
    return _load("arrays", "numpy").ArrayTable(orbits)  # type: ignore[no-any-return]


def parts_of(table: Table) -> Iterator[tuple[int, v1.OrbitColumns]]:
    """The table in messages, each with its first row; a message without rows makes one, for the servers to refuse."""
    for first_row in range(0, max(table.rows, 1), PART_ROWS):
        yield first_row, table.part(slice(first_row, first_row + PART_ROWS))


def check_names(columns: Iterable[Any]) -> None:
    """Refuse what would otherwise be left out without a word.

    Raises:
        ValueError: a name is none of `COLUMN_NAMES`.
    """
    if unknown := [name for name in columns if name not in COLUMN_NAMES]:
        meant = ", ".join(
            repr(name) + (f" (is it {like}?)" if (like := _column_like(name)) else "") for name in unknown
        )
        raise ValueError(f"no such columns: {meant}; there are {', '.join(COLUMN_NAMES)}")


def check_complete(columns: Collection[str], ignored: Iterable[Any] = ()) -> None:
    """Refuse a table that lacks a column which every question needs.

    Args:
        columns: those that the table has.
        ignored: names of its other columns; where one means a missing column, the error says so.

    Raises:
        ValueError: columns are missing.
    """
    missing = [name for name in _REQUIRED if name not in columns]
    if not any(name in columns for name in _SIZES):
        missing.append(" or ".join(_SIZES))
    if not missing:
        return
    likely = [f"{name!r} if it is {like}" for name in ignored if (like := _column_like(name)) and like not in columns]
    hint = f"; rename {', '.join(likely)}" if likely else ""
    raise ValueError(f"the table lacks {', '.join(missing)}{hint}")


def _column_like(name: Any) -> str | None:
    """The column that a caller's name may mean: by JPL's and the MPC's short names, or by spelling."""
    text = str(name)
    if short := _SHORT_NAMES.get(text) or _SHORT_NAMES.get(text.lower()):
        return short
    return next(iter(difflib.get_close_matches(text.lower(), COLUMN_NAMES, n=1, cutoff=0.75)), None)


def _load(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(f"orrery.inference.{module}")
    except ModuleNotFoundError as missing:
        what = f"columns outside a message need {extra}: pip install 'orrery-inference-client[{extra}]'"
        raise ModuleNotFoundError(what, name=missing.name) from missing
