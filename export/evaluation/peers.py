# SPDX-License-Identifier: GPL-3.0-or-later
"""Other models on the same data: boosted trees of scikit-learn, LightGBM where it is installed.

They learn from the same rows as the network, once from the six raw columns and once from the network's own features.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from export.classifier.features import network_features
from export.data.dataset import Labelled, Split
from export.evaluation.metrics import best_f1_threshold
from export.quiet_tensorflow import tf

_SEED: Final = 5
_TREES: Final = 300
_LEAVES: Final = 63
_RATE: Final = 0.1

Floats = NDArray[np.floating[Any]]


def _raw(data: Labelled) -> Floats:
    return data.columns


def _features(data: Labelled) -> Floats:
    features: Floats = network_features(tf.constant(data.columns)).numpy()
    return features


_INPUTS: Final[dict[str, Callable[[Labelled], Floats]]] = {"raw columns": _raw, "network's features": _features}


def _models() -> Iterator[tuple[str, Any]]:
    yield (
        "HistGradientBoosting",
        HistGradientBoostingClassifier(
            max_iter=_TREES, max_leaf_nodes=_LEAVES, learning_rate=_RATE, early_stopping=False, random_state=_SEED
        ),
    )
    if importlib.util.find_spec("lightgbm") is not None:
        lightgbm = importlib.import_module("lightgbm")
        yield (
            "LightGBM",
            lightgbm.LGBMClassifier(
                n_estimators=_TREES, num_leaves=_LEAVES, learning_rate=_RATE, random_state=_SEED, verbose=-1
            ),
        )


def predictions(
    data: Split, judges: Labelled, progress: Callable[[str, float], None]
) -> dict[str, tuple[Floats, float]]:
    """Each peer's hazard probabilities of the judges, shape (N,), and the threshold of its largest F1 on validation.

    Args:
        data: its train part is learnt from, its validation part gives the thresholds.
        judges: N objects.
        progress: told before each peer.
    """
    found: dict[str, tuple[Floats, float]] = {}
    for place, (kind, inputs) in enumerate(_INPUTS.items()):
        train, validation, asked = inputs(data.train), inputs(data.validation), inputs(judges)
        for name, model in _models():
            progress(f"training {name} on the {kind}", place / len(_INPUTS))
            model.fit(train, data.train.hazardous)
            threshold = best_f1_threshold(data.validation.hazardous, model.predict_proba(validation)[:, 1])
            found[f"{name} on the {kind}"] = model.predict_proba(asked)[:, 1], threshold
    return found
