# SPDX-License-Identifier: GPL-3.0-or-later
"""pythie-serving: what its "sklearn" platform loads is any pickled object with `predict`; here it runs a graph.

`python pythie_models.py FOLDER` writes the pickles, their metadata and the server's configuration.
"""

import json
import sys
from pathlib import Path

import cloudpickle
import numpy as np
from graphs import OUTPUTS, Graph

COLUMNS = ["q", "e", "i", "node", "peri", "h"]


class GraphEstimator:
    """A graph, loaded where it is unpickled."""

    def __init__(self, name: str) -> None:
        """Take the name of its model."""
        self._name = name
        self._graph = Graph(name)

    def __reduce__(self) -> tuple[type["GraphEstimator"], tuple[str]]:
        return GraphEstimator, (self._name,)

    def predict(self, samples: np.ndarray) -> np.ndarray:
        """(N, K) of (N, 6), which pythie-serving hands over as objects."""
        return self._graph.table(samples.astype(np.float64))


def write(folder: Path) -> None:
    """Everything the server reads."""
    entries = []
    for name in OUTPUTS:
        base = folder / name
        base.mkdir(parents=True, exist_ok=True)
        with (base / f"{name}.pickled").open("wb") as file:
            cloudpickle.dump(GraphEstimator(name), file)
        (base / "metadata.json").write_text(json.dumps({"feature_names": COLUMNS}), encoding="utf-8")
        entries.append(f'config {{ name: "{name}" base_path: "{base}" model_platform: "sklearn" }}')
    (folder / "models.config").write_text("model_config_list { " + " ".join(entries) + " }", encoding="utf-8")


if __name__ == "__main__":
    # The pickles name this module, not __main__, so that the server finds the class.
    import pythie_models

    pythie_models.write(Path(sys.argv[1]))
