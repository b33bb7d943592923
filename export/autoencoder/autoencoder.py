# SPDX-License-Identifier: GPL-3.0-or-later
"""A small dense autoencoder of the real population: what it cannot draw again from a few numbers is unusual.

Reconstruction error as an outlier score: Hawkins et al. 2002, DaWaK, "Outlier detection using replicator neural
networks". It sees the forest's features, standardised, and is served in float64.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from export.forest.isolation_forest import FEATURE_NAMES, OrbitFeatures
from export.progress import Progress
from export.quiet_tensorflow import keras

QUANTILE_LEVELS: Final = np.unique(np.concatenate([np.linspace(0.0, 1.0, 1001), np.linspace(0.99, 1.0, 1001)]))
_LAST_RATE: Final = 0.02
_STEPS_PER_EXECUTION: Final = 20

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AutoencoderSettings:
    """Size and schedule.

    Attributes:
        hidden_units: on each side of the code.
        code_units: numbers that an object is pressed into; fewer than the features.
        epochs: passes over the population.
        batch_rows: objects a step.
    """

    hidden_units: int = 24
    code_units: int = 3
    epochs: int = 40
    batch_rows: int = 256
    learning_rate: float = 3e-3
    seed: int = 11


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """A fitted autoencoder as plain arrays.

    Attributes:
        mean: of the features, shape (F,).
        scale: their standard deviation, shape (F,).
        layers: (kernel, bias) of each layer; all but the last are followed by tanh.
        quantile_levels: (K,) fractions of the population, rising.
        quantile_errors: (K,) reconstruction errors there, rising strictly.
    """

    mean: Floats
    scale: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    quantile_levels: Floats = field(default_factory=lambda: np.empty(0))
    quantile_errors: Floats = field(default_factory=lambda: np.empty(0))


def fit(columns: Floats, settings: AutoencoderSettings, progress: Progress) -> Autoencoder:
    """Fit to a population of shape (N, 6), columns of `export.data.cleaning.MODEL_COLUMNS`."""
    keras.utils.set_random_seed(settings.seed)
    features = OrbitFeatures().transform(columns)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    standardised = ((features - mean) / scale).astype(np.float32)
    units = (len(FEATURE_NAMES), settings.hidden_units, settings.code_units, settings.hidden_units, len(FEATURE_NAMES))
    model = keras.Sequential([keras.layers.Dense(n, "tanh") for n in units[1:-1]] + [keras.layers.Dense(units[-1])])
    model.build((None, units[0]))
    steps = -(-len(features) // settings.batch_rows) * settings.epochs
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps, alpha=_LAST_RATE)
    model.compile(keras.optimizers.legacy.Adam(rate), loss="mse", steps_per_execution=_STEPS_PER_EXECUTION)
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: progress(
            f"training the autoencoder, loss {logs['loss']:.4f}", (epoch + 1) / settings.epochs
        )
    )
    model.fit(
        standardised, standardised, epochs=settings.epochs, batch_size=settings.batch_rows, verbose=0,
        callbacks=[report],
    )  # fmt: skip
    arrays = [np.asarray(weights, np.float64) for weights in model.get_weights()]
    fitted = Autoencoder(mean, scale, tuple(zip(arrays[::2], arrays[1::2], strict=True)))
    quantiles = np.quantile(errors(fitted, columns), QUANTILE_LEVELS)
    rising = np.concatenate([[True], np.diff(quantiles) > 0.0])
    return Autoencoder(mean, scale, fitted.layers, QUANTILE_LEVELS[rising], quantiles[rising])


def errors(autoencoder: Autoencoder, columns: Floats) -> Floats:
    """Mean squared error of the standardised features, shape (N,): the numpy reference of what is served."""
    standardised = (OrbitFeatures().transform(columns) - autoencoder.mean) / autoencoder.scale
    flow = standardised
    for kernel, bias in autoencoder.layers[:-1]:
        flow = np.tanh(flow @ kernel + bias)
    kernel, bias = autoencoder.layers[-1]
    flow = flow @ kernel + bias
    result: Floats = np.mean((flow - standardised) ** 2, axis=1)
    return result


def percentiles(autoencoder: Autoencoder, error: Floats) -> Floats:
    """Percentage of the population with a smaller error, shape (N,)."""
    result: Floats = 100.0 * np.interp(error, autoencoder.quantile_errors, autoencoder.quantile_levels)
    return result
