# SPDX-License-Identifier: GPL-3.0-or-later
"""The SavedModel of the autoencoder: raw elements in, reconstruction error and percentile out, all in float64."""

from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

import numpy as np

from export.autoencoder.autoencoder import Autoencoder, AutoencoderSettings, errors, fit
from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.errors import ExportError
from export.forest.isolation_forest import JUPITER_SEMI_MAJOR_AXIS_AU, SMALLEST_ONE_MINUS_ECCENTRICITY
from export.progress import Progress
from export.publishing.publish import MANIFEST_FILE, Manifest, staged_version
from export.quiet_tensorflow import tf

NAME: Final = "neo_anomaly_autoencoder"
LARGEST_RELATIVE_DIFFERENCE: Final = 1e-9
"""Of an error as served, against the numpy reference; both are float64."""


class ParityError(ExportError):
    """The SavedModel answers otherwise than its reference."""


def orbit_features(orbits: tf.Tensor) -> tf.Tensor:
    """`export.forest.isolation_forest.OrbitFeatures` in the graph: (N, 6) -> (N, 7), float64."""
    q, e, inclination_deg, _, _, magnitude_h = tf.unstack(orbits, axis=1)
    a_au = q / tf.maximum(1.0 - e, SMALLEST_ONE_MINUS_ECCENTRICITY)
    tisserand = JUPITER_SEMI_MAJOR_AXIS_AU * (1.0 - e) / q + 2.0 * tf.cos(inclination_deg * (np.pi / 180.0)) * tf.sqrt(
        q * (1.0 + e) / JUPITER_SEMI_MAJOR_AXIS_AU
    )
    ten = np.log(10.0)
    columns = (
        tf.math.log(a_au) / ten, e, inclination_deg, magnitude_h, q, tf.math.log(a_au * (1.0 + e)) / ten, tisserand,
    )  # fmt: skip
    return tf.stack(columns, axis=1)


class AnomalyAutoencoder(tf.Module):  # type: ignore[misc]  # tensorflow has no types
    """The autoencoder behind its signature."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__(name=NAME)
        self._autoencoder = autoencoder

    @tf.function(input_signature=[tf.TensorSpec([None, len(MODEL_COLUMNS)], tf.float64, name="orbits")])  # type: ignore[untyped-decorator]  # tensorflow has no types
    def predict(self, orbits: tf.Tensor) -> dict[str, tf.Tensor]:
        """`reconstruction_error` and `percentile`, both (N,) float64, for raw orbits (N, 6)."""
        parts = self._autoencoder
        standardised = (orbit_features(orbits) - parts.mean) / parts.scale
        flow = standardised
        for kernel, bias in parts.layers[:-1]:
            flow = tf.tanh(tf.matmul(flow, kernel) + bias)
        kernel, bias = parts.layers[-1]
        error = tf.reduce_mean((tf.matmul(flow, kernel) + bias - standardised) ** 2, axis=1)
        return {"reconstruction_error": error, "percentile": self._percentile(error)}

    def _percentile(self, error: tf.Tensor) -> tf.Tensor:
        """`numpy.interp` in the graph."""
        known, levels = self._autoencoder.quantile_errors, self._autoencoder.quantile_levels
        within = tf.clip_by_value(error, known[0], known[-1])
        upper = tf.clip_by_value(tf.searchsorted(known, within, side="right"), 1, len(known) - 1)
        low, high = tf.gather(known, upper - 1), tf.gather(known, upper)
        low_level, high_level = tf.gather(levels, upper - 1), tf.gather(levels, upper)
        return 100.0 * (low_level + (high_level - low_level) * (within - low) / (high - low))


def save(autoencoder: Autoencoder, folder: Path) -> None:
    """Write the SavedModel into a folder."""
    model = AnomalyAutoencoder(autoencoder)
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.predict})


def check_parity(autoencoder: Autoencoder, folder: Path, columns: np.ndarray) -> float:
    """Load a folder and compare it with the reference.

    Returns:
        The largest relative difference of an error.

    Raises:
        ParityError: it is above `LARGEST_RELATIVE_DIFFERENCE`.
    """
    found = tf.saved_model.load(str(folder)).signatures["serving_default"](orbits=tf.constant(columns))
    expected = errors(autoencoder, columns)
    difference = float(np.max(np.abs(found["reconstruction_error"].numpy() - expected) / expected))
    if not difference <= LARGEST_RELATIVE_DIFFERENCE:
        raise ParityError(f"{NAME}: differs from its reference by {difference:.1e}")
    return difference


def publish_autoencoder(
    catalogue: Catalogue, settings: AutoencoderSettings, store: Path, version: int, progress: Progress
) -> Path:
    """Fit the autoencoder to the population, prove the SavedModel against numpy and publish it; gives its folder."""
    columns = catalogue.objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    autoencoder = fit(columns, settings, progress)
    progress("publishing the autoencoder", 0.0)
    with staged_version(store, NAME, version) as folder:
        save(autoencoder, folder)
        difference = check_parity(autoencoder, folder, columns)
        manifest = Manifest(
            name=NAME,
            version=version,
            variant="dense-f64",
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            training_data=asdict(catalogue.provenance),
            metrics={
                "largest_relative_difference_from_numpy": difference,
                "median_reconstruction_error": float(np.median(errors(autoencoder, columns))),
            },
            libraries={name: installed(name) for name in ("tensorflow", "tf-keras", "numpy")},
            details={"columns": list(MODEL_COLUMNS), "autoencoder": asdict(settings)},
        )
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    progress("autoencoder published", 1.0)
    return store / NAME / str(version)
