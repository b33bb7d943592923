# SPDX-License-Identifier: Apache-2.0
"""Columns as pandas DataFrames; the one door to pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from google.protobuf import json_format

from orrery.inference import v1
from orrery.inference.arrays import ArrayTable, Columns
from orrery.inference.tables import COLUMN_NAMES, check_complete

if TYPE_CHECKING:
    from google.protobuf.message import Message

_CLASSES = pd.Index([name.removeprefix("ORBIT_CLASS_") for name in v1.OrbitClass.keys()])  # noqa: SIM118  # an enum wrapper, no dict


class FrameTable:
    """A DataFrame; of its columns those that orbits have are sent, the others are left where they are."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Look at the columns; see `ArrayTable`.

        Raises:
            ValueError: see `orrery.inference.tables.table_of`.
        """
        columns = [name for name in COLUMN_NAMES if name in frame.columns]
        check_complete(columns, ignored=[name for name in frame.columns if name not in COLUMN_NAMES])
        self._index = frame.index
        self._arrays = ArrayTable({name: frame[name].to_numpy() for name in columns})
        self.rows = self._arrays.rows

    def part(self, rows: slice) -> v1.OrbitColumns:
        """Some of the rows as a message."""
        return self._arrays.part(rows)

    def answer(self, reply: Message) -> pd.DataFrame:
        """The reply's columns under the frame's index; classes by name, the model in `attrs["model"]`."""
        columns = Columns(reply)
        frame = pd.DataFrame(dict(columns), index=self._index)
        for name in frame.columns:
            if name.endswith("orbit_class"):
                frame[name] = pd.Categorical.from_codes(columns[name], categories=_CLASSES)
        if columns.model is not None:
            frame.attrs["model"] = json_format.MessageToDict(columns.model, preserving_proto_field_name=True)
        return frame
