# SPDX-License-Identifier: Apache-2.0
"""Columns as numpy arrays; the one door to numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from orrery.inference import v1
from orrery.inference.errors import MAX_NAMED_VIOLATIONS
from orrery.inference.tables import check_complete, check_names, part_of

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from numpy.typing import NDArray

_DTYPES = {
    FieldDescriptor.CPPTYPE_DOUBLE: np.float64,
    FieldDescriptor.CPPTYPE_BOOL: np.bool_,
    FieldDescriptor.CPPTYPE_ENUM: np.int8,
}

# Signed and unsigned integers, floats, objects, text: dates would become nanoseconds, and True 1.
_READ_KINDS = frozenset("iufOUST")


class Columns(dict[str, "NDArray[Any]"]):
    """Arrays of length N by the names of the reply's fields.

    Attributes:
        model: that answered; None where no model was asked.
    """

    def __init__(self, reply: Message) -> None:
        """Read a reply: doubles as float64, with NaN for an unknown MOID, and enums as int8.

        Columns that were not asked for are left out.
        """
        self.model: v1.ModelSpec | None = getattr(reply, "model", None)
        for field in reply.DESCRIPTOR.fields:
            if (dtype := _DTYPES.get(field.cpp_type)) and len(values := getattr(reply, field.name)):
                self[field.name] = np.array(values, dtype=dtype)
        if isinstance(reply, v1.PredictColumnsResponse) and (moid_au := self.get("earth_moid_au")) is not None:
            # The contract's -1.
            moid_au[moid_au < 0] = np.nan


class ArrayTable:
    """A mapping of names to columns, or a structured array."""

    def __init__(self, orbits: Mapping[str, Any] | NDArray[np.void]) -> None:
        """Look at the columns; a scalar stands for all rows.

        Raises:
            TypeError: it is neither a mapping nor a structured array.
            ValueError: see `orrery.inference.tables.table_of`.
        """
        named: dict[str, Any]
        if isinstance(orbits, Mapping):
            named = dict(orbits)
        elif isinstance(orbits, np.ndarray) and orbits.dtype.names:
            named = {name: orbits[name] for name in orbits.dtype.names}
        else:
            raise TypeError(
                f"not columns, but {type(orbits).__name__}: a mapping, structured array, DataFrame or message is"
            )
        check_names(named)
        self._columns = read_numbers(named)
        lengths = {name: len(column) for name, column in self._columns.items()}
        self.rows = max(lengths.values(), default=0)
        for name, count in lengths.items():
            if count not in {self.rows, 1 if name == "epoch_tdb_jd" else self.rows}:
                raise ValueError(f"columns differ in length: {lengths}")
        check_complete(named)
        if not self.rows:
            raise ValueError("the table has no rows; 1 or more are needed")

    def part(self, rows: slice) -> v1.OrbitColumns:
        """Some of the rows as a message."""
        # From a list it is made in a third of the time that it takes from an array.
        return v1.OrbitColumns(**{name: part_of(values, rows).tolist() for name, values in self._columns.items()})

    def answer(self, reply: Message) -> Columns:
        """The reply's columns."""
        return Columns(reply)


def read_numbers(columns: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Columns as float64, each of one dimension; None is NaN.

    Raises:
        ValueError: a column holds no numbers, or some of its cells are none; names up to 100 cells of all columns.
    """
    numbers: dict[str, NDArray[np.float64]] = {}
    wrong: list[str] = []
    for name, values in columns.items():
        column = _array(name, values)
        try:
            numbers[name] = column.astype(np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            cells = enumerate(column.tolist())
            wrong += [f"{name}[{row}] is {cell!r:.60}" for row, cell in cells if not _is_number(cell)] or [
                f"{name}: {error}"
            ]
    if wrong:
        rest = len(wrong[MAX_NAMED_VIOLATIONS:])
        named = ", ".join(wrong[:MAX_NAMED_VIOLATIONS])
        raise ValueError(f"not numbers: {named}" + (f" (and {rest:,} more)" if rest else ""))
    return numbers


def _array(name: str, values: Any) -> NDArray[Any]:
    try:
        column = np.atleast_1d(np.asarray(values))
    except ValueError as error:
        raise ValueError(f"{name} holds sequences of different lengths, not numbers") from error
    if column.ndim != 1:
        raise ValueError(f"{name} has {column.ndim} dimensions, not 1")
    if column.dtype.kind not in _READ_KINDS:
        raise ValueError(f"{name} holds {column.dtype}, not numbers")
    return column


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return cell is None
    return True
