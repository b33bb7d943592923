# SPDX-License-Identifier: GPL-3.0-or-later
"""Further training of a converged network, plain or aware of its quantisation: what fair comparisons start from.

Pruning trains on for some epochs, so whatever is compared with it does too. Quantisation-aware training: Jacob et al.
2018, CVPR, section 3, with tensorflow-model-optimization's wrappers around each layer.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.classifier.compress import INT8_LIMIT, PackedLayer, hidden_names, layer_inputs, pack_trained
from export.classifier.features import network_features
from export.classifier.training import CLASS_HEAD, HAZARD_HEAD, STEPS_PER_EXECUTION, Network, compile_heads
from export.data.dataset import Labelled, Split
from export.progress import Progress
from export.quiet_tensorflow import keras, tf, tfmot

_LAST_RATE: Final = 0.02
_FEATURES_LAYER: Final = "features"

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FurtherTraining:
    """How long and how hard to train on; the defaults are those of pruning."""

    epochs: int
    batch_rows: int = 512
    learning_rate: float = 2e-3
    l2: float = 1e-6
    seed: int = 7


class _Config(tfmot.quantization.keras.QuantizeConfig):  # type: ignore[misc]  # tfmot has no types
    """Symmetric int8, as `compress.PackedLayer` stores it: kernels by channel, outputs by layer.

    Logits stay float32: eight bits of them would leave 255 probabilities to rank by.
    """

    def __init__(self, *, kernel: bool, output: bool) -> None:
        self._kernel, self._output = kernel, output

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        quantizer = tfmot.quantization.keras.quantizers.LastValueQuantizer(
            num_bits=8, per_axis=True, symmetric=True, narrow_range=True
        )
        return [(layer.kernel, quantizer)] if self._kernel else []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        if self._kernel:
            layer.kernel = quantize_weights[0]

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002 - tfmot's signature
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Nothing is set: outputs are quantised, which is after the activation."""

    def get_output_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002 - tfmot's signature
        quantizer = tfmot.quantization.keras.quantizers.MovingAverageQuantizer(
            num_bits=8, per_axis=False, symmetric=True, narrow_range=True
        )
        return [quantizer] if self._output else []

    def get_config(self) -> dict[str, bool]:
        return {"kernel": self._kernel, "output": self._output}


def standardised(network: Network, data: Labelled) -> Floats:
    """The network's own features of a data set, shape (N, F)."""
    result: Floats = (network_features(tf.constant(data.columns)).numpy() - network.mean) / network.scale
    return result


def _build(network: Network, l2: float, *, quantised: bool) -> Any:
    def wrapped(layer: Any, *, kernel: bool = True, output: bool = True) -> Any:
        if not quantised:
            return layer
        return tfmot.quantization.keras.QuantizeWrapperV2(layer, _Config(kernel=kernel, output=output), name=layer.name)

    def dense(name: str, activation: str | None) -> Any:
        units = network.layers[name][0].shape[1]
        return keras.layers.Dense(units, activation=activation, kernel_regularizer=keras.regularizers.L2(l2), name=name)

    inputs = keras.Input((len(network.mean),), name="standardised")
    flow = wrapped(keras.layers.Activation("linear", name=_FEATURES_LAYER), kernel=False)(inputs)
    for name in hidden_names(network.layers):
        flow = wrapped(dense(name, "relu"))(flow)
    heads = [wrapped(dense(name, None), output=False)(flow) for name in (HAZARD_HEAD, CLASS_HEAD)]
    model = keras.Model(inputs, heads)
    for name, (kernel, bias) in network.layers.items():
        _variable(model, name, "kernel").assign(kernel)
        _variable(model, name, "bias").assign(bias)
    return model


def _variable(model: Any, layer: str, suffix: str) -> Any:
    """One variable of a layer or its wrapper."""
    (found,) = [v for v in model.get_layer(layer).weights if v.name.removesuffix(":0").endswith(f"/{suffix}")]
    return found


def _fit(model: Any, network: Network, split: Split, settings: FurtherTraining, stage: str, progress: Progress) -> None:
    features = standardised(network, split.train)
    steps = -(-len(features) // settings.batch_rows) * settings.epochs
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps, alpha=_LAST_RATE)
    compile_heads(model, rate, STEPS_PER_EXECUTION)
    targets = [split.train.hazardous.astype(np.float32)[:, None], split.train.orbit_class]
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: progress(f"{stage}, loss {logs['loss']:.4f}", (epoch + 1) / settings.epochs)
    )
    model.fit(features, targets, epochs=settings.epochs, batch_size=settings.batch_rows, verbose=0, callbacks=[report])


def _network(model: Any, network: Network) -> Network:
    layers = {
        name: (_variable(model, name, "kernel").numpy(), _variable(model, name, "bias").numpy())
        for name in network.layers
    }
    return replace(
        network, layers=layers, sparsity=float(np.mean(np.concatenate([k.ravel() for k, _ in layers.values()]) == 0.0))
    )


def train_on(network: Network, split: Split, settings: FurtherTraining, progress: Progress) -> Network:
    """The network after further epochs without any compression: the baseline of the compressed ones."""
    keras.utils.set_random_seed(settings.seed)
    model = _build(network, settings.l2, quantised=False)
    _fit(model, network, split, settings, "training on", progress)
    return _network(model, network)


def train_quantised(
    network: Network, split: Split, settings: FurtherTraining, progress: Progress
) -> dict[str, PackedLayer]:
    """The network after as many epochs in which it feels its int8 weights and activations, in the static form.

    The ranges of activations start where the training rows put them, and follow by moving average.
    """
    keras.utils.set_random_seed(settings.seed)
    model = _build(network, settings.l2, quantised=True)
    hidden = hidden_names(network.layers)
    before = dict(zip([*hidden, HAZARD_HEAD], [_FEATURES_LAYER, *hidden], strict=True))
    before[CLASS_HEAD] = before[HAZARD_HEAD]
    inputs = layer_inputs(network, standardised(network, split.train))
    for name, source in before.items():
        largest = float(np.abs(inputs[name]).max())
        _variable(model, source, "output_min").assign(-largest)
        _variable(model, source, "output_max").assign(largest)
    _fit(model, network, split, settings, "training with quantisation", progress)
    steps = {
        name: float(_variable(model, source, "output_max").numpy()) / INT8_LIMIT for name, source in before.items()
    }
    return pack_trained(_network(model, network), steps)
