# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model learnt from, as bins of each feature: published with the model, counted into by whoever serves it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10
"""As Siddiqi 2006 ("Credit Risk Scorecards") has it: tenths of the reference."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reference:
    """F features, each cut into bins at quantiles of the reference.

    Attributes:
        names: F names.
        edges: of each feature its inner edges, rising; a value equal to an edge is in the bin above.
        counts: of each feature the reference's objects by bin, one more than edges.
    """

    names: tuple[str, ...]
    edges: tuple[Floats, ...]
    counts: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]], bins: int = BINS) -> Self:
        """Cut a population.

        Args:
            columns: values by feature, each (N,) and finite. Few distinct values get a bin each.
            bins: of continuous features.
        """
        edges = tuple(_edges(np.asarray(values, np.float64), bins) for values in columns.values())
        counts = tuple(
            _counts(np.asarray(values, np.float64), cuts) for values, cuts in zip(columns.values(), edges, strict=True)
        )
        return cls(tuple(columns), edges, counts)

    @property
    def objects(self) -> int:
        """How many the reference was made of."""
        return int(self.counts[0].sum())

    def count(self, rows: Floats) -> tuple[NDArray[np.int64], ...]:
        """By feature, how many of (N, F) rows are in each bin."""
        return tuple(_counts(rows[:, column], cuts) for column, cuts in enumerate(self.edges))

    def to_json(self) -> dict[str, Any]:
        """For a manifest; edges to 17 digits, so that both sides cut at the same place."""
        return {
            name: {"edges": cuts.tolist(), "counts": counts.tolist()}
            for name, cuts, counts in zip(self.names, self.edges, self.counts, strict=True)
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` made.

        Raises:
            ValueError: it is no such thing.
        """
        try:
            edges = tuple(np.array(said["edges"], np.float64) for said in content.values())
            counts = tuple(np.array(said["counts"], np.int64) for said in content.values())
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("no reference of drift") from error
        for cuts, many in zip(edges, counts, strict=True):
            if len(many) != len(cuts) + 1 or (np.diff(cuts) <= 0.0).any() or (many < 0).any() or not many.sum():
                raise ValueError("a reference of drift with bins that make no sense")
        if not edges:
            raise ValueError("a reference of drift without features")
        return cls(tuple(content), edges, counts)

    def dumps(self) -> str:
        """`to_json` as text."""
        return json.dumps(self.to_json(), separators=(",", ":"))


def _edges(values: Floats, bins: int) -> Floats:
    distinct = np.unique(values)
    if len(distinct) <= bins:
        middles: Floats = (distinct[1:] + distinct[:-1]) / 2.0
        return middles
    cuts = np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    # Below the smallest value there is nobody: such a cut would make an empty bin.
    result: Floats = cuts[cuts > distinct[0]]
    return result


def _counts(values: Floats, cuts: Floats) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1).astype(np.int64)
