# SPDX-License-Identifier: GPL-3.0-or-later
"""Predictions made before, by the model version that made them and the very numbers it read.

A version never changes, so an entry never goes wrong; what changes is which version a request means. "The newest" or a
label is what the model server last said it is, for as long as that is fresh: then one request goes through and asks
anew. An answer from another version counts at once. A version that stops being served stops being answered from here
just as soon.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Selectors are the callers' words; more than this many at a time are no traffic worth a cache.
_MOST_SELECTORS: Final = 256


@dataclass(frozen=True, slots=True)
class _Meaning:
    version: int
    asked_s: float


class PredictionCache:
    """The most recently used rows; for one event loop."""

    def __init__(self, most_rows: int, fresh_s: float) -> None:
        """Begin empty.

        Args:
            most_rows: kept; 0 turns it off.
            fresh_s: how long the meaning of a selector is taken for granted.
        """
        self._most_rows = most_rows
        self._fresh_s = fresh_s
        self._rows: OrderedDict[tuple[int, bytes], bytes] = OrderedDict()
        self._meanings: OrderedDict[bytes, _Meaning] = OrderedDict()

    def find(self, selector: bytes, keys: Sequence[bytes], now_s: float) -> tuple[int, list[bytes]] | None:
        """The version that a selector means and its predictions for some rows, if all of them are here.

        Args:
            selector: the request's.
            keys: the numbers of each row.
            now_s: on the clock that `store` is told.
        """
        version = self.version_of(selector, now_s)
        if version is None:
            return None
        found = []
        for key in keys:
            prediction = self._rows.get((version, key))
            if prediction is None:
                return None
            found.append(prediction)
        for key in keys:
            self._rows.move_to_end((version, key))
        return version, found

    def version_of(self, selector: bytes, now_s: float) -> int | None:
        """The version that a selector means, as far as that is known; see `find`."""
        meaning = self._meanings.get(selector)
        if meaning is None or now_s - meaning.asked_s > self._fresh_s:
            return None
        return meaning.version

    def store(
        self, selector: bytes, version: int, asked_s: float, keys: Sequence[bytes], predictions: Sequence[bytes]
    ) -> None:
        """Keep what a version said.

        Args:
            selector: that was asked with.
            version: that answered.
            asked_s: when it was asked: an older question does not say what the selector means now.
            keys: the numbers of each row.
            predictions: one for each key.
        """
        if not self._most_rows:
            return
        known = self._meanings.get(selector)
        if known is None or known.asked_s <= asked_s:
            self._meanings[selector] = _Meaning(version, asked_s)
            self._meanings.move_to_end(selector)
            while len(self._meanings) > _MOST_SELECTORS:
                self._meanings.popitem(last=False)
        self.keep(version, keys, predictions)

    def keep(self, version: int, keys: Sequence[bytes], predictions: Sequence[bytes]) -> None:
        """Keep what a version said, without a word of what any selector means."""
        for key, prediction in zip(keys, predictions, strict=True):
            self._rows[version, key] = prediction
            self._rows.move_to_end((version, key))
        while len(self._rows) > self._most_rows:
            self._rows.popitem(last=False)
