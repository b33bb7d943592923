# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: twelve features, 64 and 32 hidden units, one head for the hazard and one for the orbit class.

Trained dense with early stopping, then pruned by magnitude while training on (Zhu & Gupta 2017, arXiv:1710.01878, the
polynomial schedule of tensorflow-model-optimization).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.classifier.features import FEATURE_NAMES, network_features
from export.data.dataset import CLASSES, Labelled, Split
from export.quiet_tensorflow import keras, tf, tfmot

HIDDEN_UNITS: Final = (64, 32)
HAZARD_HEAD: Final = "hazard"
CLASS_HEAD: Final = "orbit_class"

_CLASS_LOSS_WEIGHT: Final = 0.3
# Keras spends more time between steps of so small a network than in them.
_STEPS_PER_EXECUTION: Final = 20
_PRUNE_EVERY_STEPS: Final = 10

Floats = NDArray[np.float32]
Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction of it that is done."""


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how hard to train.

    Attributes:
        epochs: at most so many while dense; early stopping may end sooner.
        pruning_epochs: further epochs in which weights are pruned.
        sparsity: fraction of each kernel's weights that end at zero.
        hazardous_weight: weight of a hazardous example; 1 means no class weights. Measured by date: a weight of 5
            lowered the average precision from .987 to .983, so none is the default.
    """

    epochs: int
    pruning_epochs: int
    batch_rows: int = 512
    learning_rate: float = 6e-3
    l2: float = 1e-6
    patience_epochs: int = 12
    sparsity: float = 0.5
    hazardous_weight: float = 1.0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network as plain arrays.

    Attributes:
        mean: of the features, shape (12,).
        scale: their standard deviation, shape (12,).
        layers: name -> (kernel (inputs, outputs), bias (outputs,)); `hidden_1`, `hidden_2` and the two heads.
        sparsity: fraction of the kernels' weights that are zero.
    """

    mean: Floats
    scale: Floats
    layers: dict[str, tuple[Floats, Floats]]
    sparsity: float


def _build(training: Training) -> Any:
    regularizer = keras.regularizers.L2(training.l2)
    inputs = keras.Input((len(FEATURE_NAMES),), name="features")
    flow = inputs
    for number, units in enumerate(HIDDEN_UNITS, start=1):
        flow = keras.layers.Dense(units, activation="relu", kernel_regularizer=regularizer, name=f"hidden_{number}")(
            flow
        )
    heads = [
        keras.layers.Dense(1, kernel_regularizer=regularizer, name=HAZARD_HEAD)(flow),
        keras.layers.Dense(len(CLASSES), kernel_regularizer=regularizer, name=CLASS_HEAD)(flow),
    ]
    return keras.Model(inputs, heads)


def _compile(model: Any, learning_rate: Any, steps_per_execution: int = 1) -> None:
    model.compile(
        optimizer=keras.optimizers.legacy.Adam(learning_rate),
        loss=[
            keras.losses.BinaryCrossentropy(from_logits=True),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ],
        loss_weights=[1.0, _CLASS_LOSS_WEIGHT],
        steps_per_execution=steps_per_execution,
    )


class _Report(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Tells the caller how far a fit is."""

    def __init__(self, progress: Progress, stage: str, epochs: int) -> None:
        super().__init__()
        self._progress, self._stage, self._epochs = progress, stage, epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {}).get("val_loss", float("nan"))
        self._progress(f"{self._stage}, validation loss {loss:.4f}", (epoch + 1) / self._epochs)


def _arrays(data: Labelled, mean: Floats, scale: Floats, hazardous_weight: float) -> tuple[Any, Any, Any]:
    features = (network_features(tf.constant(data.columns)).numpy() - mean) / scale
    hazard_weights = np.where(data.hazardous, np.float32(hazardous_weight), np.float32(1.0))
    targets = [data.hazardous.astype(np.float32)[:, None], data.orbit_class]
    return features, targets, [hazard_weights, np.ones(len(data), np.float32)]


def _layers(model: Any) -> dict[str, tuple[Floats, Floats]]:
    names = [f"hidden_{number}" for number in range(1, len(HIDDEN_UNITS) + 1)] + [HAZARD_HEAD, CLASS_HEAD]
    by_name = {layer.name.removeprefix("prune_low_magnitude_"): layer for layer in model.layers}
    return {name: (by_name[name].kernel.numpy(), by_name[name].bias.numpy()) for name in names}


def _network(model: Any, mean: Floats, scale: Floats) -> Network:
    layers = _layers(model)
    kernels = np.concatenate([kernel.ravel() for kernel, _ in layers.values()])
    return Network(mean, scale, layers, float(np.mean(kernels == 0.0)))


def train(data: Split, training: Training, progress: Progress) -> tuple[Network, Network]:
    """Train a network and prune it.

    Args:
        data: its train part is fitted, its validation part stops the fit; its test part is not touched.
        training: the schedule.
        progress: told after every epoch.

    Returns:
        The dense network and the pruned one.
    """
    keras.utils.set_random_seed(training.seed)
    train_features = network_features(tf.constant(data.train.columns)).numpy()
    mean, scale = train_features.mean(axis=0), train_features.std(axis=0)
    features, targets, weights = _arrays(data.train, mean, scale, training.hazardous_weight)
    validation = _arrays(data.validation, mean, scale, training.hazardous_weight)
    steps = -(-len(features) // training.batch_rows)

    def fit(model: Any, epochs: int, stage: str, callbacks: list[Any]) -> None:
        report = _Report(progress, stage, epochs)
        model.fit(
            features, targets, sample_weight=weights, validation_data=validation, epochs=epochs,
            batch_size=training.batch_rows, verbose=0, callbacks=[report, *callbacks],
        )  # fmt: skip

    decay = keras.optimizers.schedules.CosineDecay
    model = _build(training)
    _compile(model, decay(training.learning_rate, training.epochs * steps, alpha=0.05), _STEPS_PER_EXECUTION)
    stop = keras.callbacks.EarlyStopping(
        f"val_{HAZARD_HEAD}_loss", patience=training.patience_epochs, restore_best_weights=True
    )
    fit(model, training.epochs, "training", [stop])
    dense = _network(model, mean, scale)

    pruning_steps = training.pruning_epochs * steps
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=training.sparsity,
        begin_step=0,
        end_step=pruning_steps // 2,
        frequency=_PRUNE_EVERY_STEPS,
    )
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    _compile(pruned, decay(training.learning_rate / 3.0, pruning_steps, alpha=0.02))
    fit(pruned, training.pruning_epochs, "pruning", [tfmot.sparsity.keras.UpdatePruningStep()])
    return dense, _network(tfmot.sparsity.keras.strip_pruning(pruned), mean, scale)
