# SPDX-License-Identifier: GPL-3.0-or-later
"""One version of the forest: the ONNX graph that scores, and the tables that turn scores into words.

The graph takes raw elements; features are its business: `export.forest.isolation_forest`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from gateway.anomaly.explanation import ForestTables, path_length_shares
from gateway.drift import Reference
from gateway.quiet_onnxruntime import onnxruntime
from gateway.serving.checksums import SUMS_FILE, NotWhole, check_sums
from gateway.serving.turns import Pieces, complete

Floats = NDArray[np.float64]

MANIFEST: Final = "manifest.json"
TABLES: Final = "forest.npz"
GRAPH: Final = "forest.onnx"

# Rows that are scored at a time: enough that a run's own cost is nothing, and some 10 ms of work.
BLOCK_ROWS = 2048
# The graph adds path lengths in float32.
_SAME_SCORE = 1e-5


class Unusable(Exception):
    """A published forest that cannot be served."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the forest says of N orbits.

    Attributes:
        score: (N,) of Liu, Ting & Zhou 2008, in (0, 1), higher is more unusual.
        anomalous: (N,) score at or above the model's threshold.
        percentile: (N,) percentage of the training population with a lower score.
        features: (N, F) what the forest looked at.
    """

    score: Floats
    anomalous: NDArray[np.bool_]
    percentile: Floats
    features: Floats

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Of consecutive orbits."""
        return cls(
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.anomalous for part in parts]),
            np.concatenate([part.percentile for part in parts]),
            np.concatenate([part.features for part in parts]),
        )


class Forest:
    """A loaded version. Safe to use from several threads at once."""

    def __init__(self, folder: Path) -> None:
        """Verify and load.

        Args:
            folder: `<store>/<name>/<version>/`.

        Raises:
            FileNotFoundError: the folder has no list of sums.
            NotWhole: a file is missing, or not the one that was published.
            Unusable: whole, but no forest: a file cannot be read, or a known orbit is not scored and explained.
        """
        if unlisted := {MANIFEST, TABLES, GRAPH} - check_sums(folder):
            raise NotWhole(f"{SUMS_FILE} of {folder} does not list {', '.join(sorted(unlisted))}")
        self.version = int(folder.name)
        try:
            self._read_manifest(folder)
            self._read_tables(folder)
            self._read_graph(folder)
            self._try_out()
        except Exception as error:  # zipfile, zlib, json, numpy and onnxruntime raise what they like of such contents
            raise Unusable(f"{folder} holds no forest that can be served: {error!r}") from error

    def _read_manifest(self, folder: Path) -> None:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        self.variant = str(manifest["variant"])
        self.training_data = str(manifest["training_data"]["description"])
        said = manifest.get("drift_reference")
        self.reference = None if said is None else Reference.from_json(said)

    def _read_tables(self, folder: Path) -> None:
        with (folder / TABLES).open("rb") as file, np.load(file, allow_pickle=False) as tables:
            self.tables = ForestTables.from_arrays(tables)
            self._quantile_levels: Floats = tables["quantile_levels"]
            self._quantile_scores: Floats = tables["quantile_scores"]
            self._threshold = float(tables["score_threshold"])
        if not (np.diff(self._quantile_scores) >= 0.0).all() or not (np.diff(self._quantile_levels) >= 0.0).all():
            raise ValueError("the quantiles of the scores do not rise")
        if not 0.0 < self._threshold < 1.0:
            raise ValueError(f"a threshold of {self._threshold}, which no score is held against")

    def _read_graph(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Its own threads go on spinning after a run, which costs small calls more than it gains.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])

    def score(self, orbits: Floats) -> Scores:
        """Score raw orbits.

        Args:
            orbits: (N, 6) as `gateway.serving.orbits.MODEL_COLUMNS` counts them.
        """
        return complete(self.score_in_pieces(orbits))

    def score_in_pieces(self, orbits: Floats) -> Pieces[Scores]:
        """`score`, interrupted after every `BLOCK_ROWS`."""
        parts = []
        for start in range(0, max(1, len(orbits)), BLOCK_ROWS):
            score, features = self._run(orbits[start : start + BLOCK_ROWS])
            percentile = 100.0 * np.interp(score, self._quantile_scores, self._quantile_levels)
            parts.append(Scores(score, score >= self._threshold, percentile, features))
            yield
        return parts[0] if len(parts) == 1 else Scores.join(parts)

    def _run(self, orbits: Floats) -> tuple[Floats, Floats]:
        score, features = self._session.run(["score", "features"], {"orbits": np.ascontiguousarray(orbits)})
        return score, features

    def _try_out(self) -> None:
        """The first run allocates; it also shows whether graph and tables are of one forest."""
        eros = np.array([[1.133, 0.2228, 10.83, 304.27, 178.93, 10.4]])
        said = self.score(eros)
        shapes = (said.score.shape, said.features.shape)
        if shapes != ((1,), (1, len(self.tables.feature_names))) or not 0.0 < said.score[0] < 1.0:
            raise ValueError("the graph does not score a known orbit")
        if not 0.0 <= said.percentile[0] <= 100.0:
            raise ValueError(f"a known orbit's percentile is {said.percentile[0]}")
        path_length = self.tables.mean_path_length + path_length_shares(self.tables, said.features).sum()
        if not abs(2.0 ** (-path_length / self.tables.normal_path_length) - said.score[0]) < _SAME_SCORE:
            raise ValueError("graph and tables give a known orbit different scores")
