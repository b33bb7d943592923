# SPDX-License-Identifier: Apache-2.0
"""Orbits of many objects in the form that a caller has them, and answers in the same form.

Columns are named as the fields of `OrbitColumns`, with their units. numpy and pandas are loaded only for who brings
their data in them.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from google.protobuf.message import Message

from orrery.inference import v1

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COLUMN_NAMES: Final = tuple(field.name for field in v1.OrbitColumns.DESCRIPTOR.fields)

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
        ValueError: a column has a name that is none of `COLUMN_NAMES`, or another length than the others.
        ModuleNotFoundError: the extra that reads it is not installed.
    """
    if isinstance(orbits, v1.OrbitColumns):
        return MessageTable(orbits)
    if "pandas" in sys.modules and isinstance(orbits, sys.modules["pandas"].DataFrame):
        return _load("frames", "pandas").FrameTable(orbits)  # type: ignore[no-any-return]
    return _load("arrays", "numpy").ArrayTable(orbits)  # type: ignore[no-any-return]


def parts_of(table: Table) -> Iterator[tuple[int, v1.OrbitColumns]]:
    """The table in messages, each with its first row; no rows make an empty one, for the servers to refuse."""
    for first_row in range(0, max(table.rows, 1), PART_ROWS):
        yield first_row, table.part(slice(first_row, first_row + PART_ROWS))


def check_names(columns: Mapping[str, Any]) -> None:
    """Refuse what would otherwise be left out without a word.

    Raises:
        ValueError: a name is none of `COLUMN_NAMES`.
    """
    if unknown := [name for name in columns if name not in COLUMN_NAMES]:
        raise ValueError(f"no such columns: {', '.join(map(repr, unknown))}; there are {', '.join(COLUMN_NAMES)}")


def _load(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(f"orrery.inference.{module}")
    except ModuleNotFoundError as missing:
        what = f"columns outside a message need {extra}: pip install 'orrery-inference-client[{extra}]'"
        raise ModuleNotFoundError(what, name=missing.name) from missing
