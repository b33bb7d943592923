# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: twelve features, hidden layers, one head for the hazard and one for the orbit class.

Trained dense with early stopping, then pruned by magnitude while training on (Zhu & Gupta 2017, arXiv:1710.01878, the
polynomial schedule of tensorflow-model-optimization). The same seed gives the same weights.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.classifier.features import FEATURE_NAMES, network_features
from export.data.dataset import CLASSES, Labelled, Split
from export.progress import Progress
from export.quiet_tensorflow import keras, tf, tfmot

HIDDEN_UNITS: Final = (128, 64, 32)
"""Chosen by `export.classifier.search` on objects known before 2020: docs/decisions/0009."""

HAZARD_HEAD: Final = "hazard"
CLASS_HEAD: Final = "orbit_class"

_CLASS_LOSS_WEIGHT: Final = 0.3
# Keras spends more time between steps of so small a network than in them.
STEPS_PER_EXECUTION: Final = 20
_PRUNE_EVERY_STEPS: Final = 10

# Plain numpy is fastest while a layer's output stays in the processor's cache.
_PREDICTION_BLOCK_ROWS: Final = 65_536

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how hard to train.

    Attributes:
        epochs: at most so many while dense; early stopping may end sooner.
        pruning_epochs: further epochs in which weights are pruned.
        sparsity: fraction of each kernel's weights that end at zero.
        hidden_units: of each hidden layer.
        dropout: fraction of each hidden layer's outputs left out at a step.
        hazardous_weight: weight of a hazardous example; 1 means no class weights.
        seed: of the first weights, the order of rows, and dropout.
    """

    epochs: int
    pruning_epochs: int
    batch_rows: int = 512
    hidden_units: tuple[int, ...] = HIDDEN_UNITS
    learning_rate: float = 2.5e-3
    dropout: float = 0.05
    l2: float = 1.1e-6
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
        layers: name -> (kernel (inputs, outputs), bias (outputs,)); `hidden_1`, `hidden_2`... and the two heads.
        sparsity: fraction of the kernels' weights that are zero.
        history: one row an epoch of how it was trained: stage, epoch, and the losses of keras.
    """

    mean: Floats
    scale: Floats
    layers: dict[str, tuple[Floats, Floats]]
    sparsity: float
    history: tuple[dict[str, Any], ...] = ()

    @property
    def hidden_layers(self) -> tuple[str, ...]:
        """Names of the hidden layers, from the features to the heads."""
        return tuple(_hidden_name(number) for number in range(1, len(self.layers) - 1))

    @property
    def weights(self) -> int:
        """How many numbers it learnt."""
        return sum(kernel.size + bias.size for kernel, bias in self.layers.values())

    def with_temperature(self, temperature: float) -> "Network":
        """The same network with its hazard logit divided by a temperature, inside the head's weights.

        Source: Guo et al. 2017, ICML (arXiv:1706.04599), section 4.2. The order of objects stays.
        """
        kernel, bias = self.layers[HAZARD_HEAD]
        divisor = np.float32(temperature)
        return replace(self, layers={**self.layers, HAZARD_HEAD: (kernel / divisor, bias / divisor)})

    def logits(self, columns: NDArray[np.float64]) -> tuple[Floats, Floats]:
        """Of the hazard, shape (N,), and of the classes, shape (N, 4), for columns of `MODEL_COLUMNS`, shape (N, 6)."""
        blocks = [
            self._logits(columns[start : start + _PREDICTION_BLOCK_ROWS])
            for start in range(0, max(len(columns), 1), _PREDICTION_BLOCK_ROWS)
        ]
        return np.concatenate([hazard for hazard, _ in blocks]), np.concatenate([classes for _, classes in blocks])

    def _logits(self, columns: NDArray[np.float64]) -> tuple[Floats, Floats]:
        flow: Floats = (network_features(tf.constant(columns, tf.float64)).numpy() - self.mean) / self.scale
        for name in self.hidden_layers:
            kernel, bias = self.layers[name]
            flow = np.maximum(flow @ kernel + bias, np.float32(0.0))
        hazard, classes = (flow @ kernel + bias for kernel, bias in (self.layers[HAZARD_HEAD], self.layers[CLASS_HEAD]))
        return hazard[:, 0], classes


def _hidden_name(number: int) -> str:
    return f"hidden_{number}"


def _build(training: Training) -> Any:
    regularizer = keras.regularizers.L2(training.l2)
    inputs = keras.Input((len(FEATURE_NAMES),), name="features")
    flow = inputs
    for number, units in enumerate(training.hidden_units, start=1):
        dense = keras.layers.Dense(units, activation="relu", kernel_regularizer=regularizer, name=_hidden_name(number))
        flow = dense(flow)
        if training.dropout > 0.0:
            flow = keras.layers.Dropout(training.dropout, name=f"dropout_{number}")(flow)
    heads = [
        keras.layers.Dense(1, kernel_regularizer=regularizer, name=HAZARD_HEAD)(flow),
        keras.layers.Dense(len(CLASSES), kernel_regularizer=regularizer, name=CLASS_HEAD)(flow),
    ]
    return keras.Model(inputs, heads)


def compile_heads(model: Any, learning_rate: Any, steps_per_execution: int = 1) -> None:
    """Both heads with their losses; the model gives logits."""
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
    return {
        layer.name: (layer.kernel.numpy(), layer.bias.numpy())
        for layer in model.layers
        if isinstance(layer, keras.layers.Dense)
    }


def _network(model: Any, mean: Floats, scale: Floats, history: list[dict[str, Any]]) -> Network:
    layers = _layers(model)
    kernels = np.concatenate([kernel.ravel() for kernel, _ in layers.values()])
    return Network(mean, scale, layers, float(np.mean(kernels == 0.0)), tuple(history))


def train(
    data: Split, training: Training, progress: Progress, checkpoints: Path | None = None
) -> tuple[Network, Network]:
    """Train a network and prune it.

    Args:
        data: its train part is fitted, its validation part stops the fit; its test part is not touched.
        training: the schedule; without pruning epochs the second network is the first.
        progress: told after every epoch.
        checkpoints: a folder to keep the state after every epoch in, and to go on from; it is not emptied here. What
            went on after a break differs from what ran in one piece: the order of rows is drawn anew.

    Returns:
        The dense network and the pruned one.
    """
    keras.utils.set_random_seed(training.seed)
    tf.config.experimental.enable_op_determinism()
    train_features = network_features(tf.constant(data.train.columns)).numpy()
    mean, scale = train_features.mean(axis=0), train_features.std(axis=0)
    features, targets, weights = _arrays(data.train, mean, scale, training.hazardous_weight)
    validation = _arrays(data.validation, mean, scale, training.hazardous_weight)
    steps = -(-len(features) // training.batch_rows)

    history: list[dict[str, Any]] = []

    def fit(model: Any, epochs: int, stage: str, callbacks: list[Any]) -> None:
        extra = [_Report(progress, stage, epochs)]
        if checkpoints is not None:
            extra.append(keras.callbacks.BackupAndRestore(str(checkpoints / stage), delete_checkpoint=False))
        fitted = model.fit(
            features, targets, sample_weight=weights, validation_data=validation, epochs=epochs,
            batch_size=training.batch_rows, verbose=0, callbacks=[*extra, *callbacks],
        )  # fmt: skip
        for row, epoch in enumerate(fitted.epoch):
            losses = {name: float(values[row]) for name, values in fitted.history.items()}
            history.append({"stage": stage, "epoch": epoch + 1, **losses})

    decay = keras.optimizers.schedules.CosineDecay
    model = _build(training)
    compile_heads(model, decay(training.learning_rate, training.epochs * steps, alpha=0.05), STEPS_PER_EXECUTION)
    stop = keras.callbacks.EarlyStopping(
        f"val_{HAZARD_HEAD}_loss", patience=training.patience_epochs, restore_best_weights=True
    )
    fit(model, training.epochs, "training", [stop])
    dense = _network(model, mean, scale, history)
    if training.pruning_epochs == 0:
        return dense, dense

    pruning_steps = training.pruning_epochs * steps
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=training.sparsity,
        begin_step=0,
        end_step=pruning_steps // 2,
        frequency=_PRUNE_EVERY_STEPS,
    )
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    compile_heads(pruned, decay(training.learning_rate / 3.0, pruning_steps, alpha=0.02))
    fit(pruned, training.pruning_epochs, "pruning", [tfmot.sparsity.keras.UpdatePruningStep()])
    return dense, _network(tfmot.sparsity.keras.strip_pruning(pruned), mean, scale, history)
