# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m export drift-report`: figures and a page. It says and shows; it deploys nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.data.catalogue import Catalogue
from export.data.cleaning import MODEL_COLUMNS
from export.drift import live
from export.drift.catalogue_windows import Columns, Window, windows
from export.errors import ExportError
from export.progress import Progress
from export.publishing import champions
from export.publishing.publish import MANIFEST_FILE
from export.quiet_matplotlib import Axes, plt
from gateway.drift import Verdict
from gateway.drift.verdict import FALSE_ALARM_RATE, FEWEST_SAMPLES, PSI_ALARM, WINDOWS

PAGE: Final = "drift.md"
_COLOURS: Final = ("0.55", "tab:blue", "tab:orange")
_RULE: Final = (
    f"An alarm needs both: a difference that chance makes in fewer than {FALSE_ALARM_RATE:g} of all looks, divided "
    f"among all features and {WINDOWS} windows (Bonferroni), and a PSI of {PSI_ALARM:g} or more. Nothing is said of "
    f"fewer than {FEWEST_SAMPLES} objects."
)


class NoChampionError(ExportError):
    """A model that nothing was published of has nothing to drift from."""


def write(
    catalogue: Catalogue, store: Path, folder: Path, metrics: Sequence[str], serving: int | None, progress: Progress
) -> Path:
    """Write the page and its figures; says where the page is.

    Args:
        catalogue: whose discoveries are compared.
        store: of published models.
        folder: for page and figures.
        metrics: addresses of pods' metrics pages; none for the catalogue alone.
        serving: the classifier that answers, where labels say it.
        progress: told what is done.

    Raises:
        NoChampionError: a model has no published version.
        export.drift.live.MetricsError: a metrics page cannot be had or read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = catalogue.objects[list(MODEL_COLUMNS)].to_numpy(dtype=np.float64)
    page = live.read(metrics)
    lines = ["# Drift", "", f"Catalogue: {catalogue.provenance.description}, {catalogue.provenance.date}.", "", _RULE]
    for name, answers, of in (("neo_classifier", _network, serving), ("neo_anomaly", _forest, None)):
        progress(f"asking {name}", 0.2)
        champion = champions.champion(store, name, of)
        if champion is None:
            raise NoChampionError(f"no version of {name} is published in {store}")
        manifest = json.loads((champion / MANIFEST_FILE).read_text(encoding="utf-8"))
        reference, found = windows(catalogue.objects, answers(champion, columns))
        figure = folder / f"{name}.png"
        draw(figure, reference, found)
        words = f"not in a window: {len(next(iter(reference.values())))} objects"
        lines += ["", f"## {name} {champion.name}", "", f"![{name}]({figure.name})", "", f"Reference: {words}."]
        for window in found:
            lines += _table(window.words, len(next(iter(window.columns.values()))), window.verdicts, "exact")
        for window_name, (objects, verdicts) in live.verdicts(page, name, manifest).items():
            lines += _table(f"asked of running pods, {window_name} window", objects, verdicts, "from bins")
    path = folder / PAGE
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    progress("drift reported", 1.0)
    return path


def _network(folder: Path, columns: NDArray[np.float64]) -> Columns:
    from export.quiet_tensorflow import tf  # noqa: PLC0415 - slow to load

    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answers = signature(orbits=tf.constant(columns, tf.float64))
    features: dict[str, NDArray[Any]] = dict(zip(MODEL_COLUMNS, columns.T, strict=True))
    features["pha_probability"] = answers["pha_probability"].numpy()
    features["orbit_class"] = answers["class_probabilities"].numpy().argmax(axis=1)
    return features


def _forest(folder: Path, columns: NDArray[np.float64]) -> Columns:
    from export.forest.fused_forest import run  # noqa: PLC0415 - onnx and scikit-learn
    from export.forest.isolation_forest import FEATURE_NAMES  # noqa: PLC0415 - as above
    from export.publishing.forest_checks import GRAPH_FILE  # noqa: PLC0415 - as above

    scores, features = run(folder / GRAPH_FILE, columns)
    return {**dict(zip(FEATURE_NAMES, features.T, strict=True)), "score": scores}


def draw(path: Path, reference: Columns, found: Sequence[Window]) -> None:
    """A panel a feature: the reference and each window as densities, with their PSI; alarms are marked."""
    names = tuple(reference)
    rows = -(-len(names) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(15.0, 3.2 * rows), layout="constrained", squeeze=False)
    for panel, name in zip(axes.ravel(), names, strict=False):
        _panel(panel, name, reference, found)
    for panel in axes.ravel()[len(names) :]:
        panel.set_axis_off()
    handles, words = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside upper center", ncols=len(words), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(panel: Axes, name: str, reference: Columns, found: Sequence[Window]) -> None:
    samples = {"reference": reference[name], **{window.words: window.columns[name] for window in found}}
    together = np.concatenate([np.asarray(values, np.float64) for values in samples.values()])
    distinct = np.unique(together)
    if len(distinct) <= 10:
        edges = np.concatenate([distinct - 0.5, [distinct[-1] + 0.5]])
    else:
        low, high = (float(end) for end in np.quantile(together, [0.002, 0.998]))
        edges = np.linspace(low, high, 41)
    for colour, (words, values) in zip(_COLOURS, samples.items(), strict=False):
        counts, _ = np.histogram(values, edges)
        shares = counts / max(len(values), 1)
        panel.stairs(shares, edges, color=colour, label=words, fill=words == "reference", alpha=0.9)
    said = [verdict for window in found for verdict in window.verdicts if verdict.name == name]
    alarm = any(verdict.drifted for verdict in said)
    figures = ", ".join(f"{verdict.psi:.3f}" for verdict in said)
    panel.set_title(f"{name.replace('_', ' ')}\nPSI {figures}", fontsize=9, color="tab:red" if alarm else "black")
    panel.tick_params(labelsize=8)
    if name.endswith("probability"):
        # Nearly all are near 0: what changes is how few are not.
        panel.set_yscale("log")
    panel.set_ylabel("share of objects", fontsize=8)


def _table(words: str, objects: int, verdicts: Sequence[Verdict], how: str) -> list[str]:
    lines = ["", f"### {words[0].upper()}{words[1:]}: {objects} objects", ""]
    if not verdicts:
        return [*lines, f"Fewer than {FEWEST_SAMPLES}: nothing is said."]
    lines += [f"| feature | PSI | KS ({how}) | p | |", "|---|---:|---:|---:|---|"]
    for verdict in verdicts:
        alarm = "**drifted**" if verdict.drifted else ""
        lines.append(f"| {verdict.name} | {verdict.psi:.4f} | {verdict.ks:.4f} | {verdict.p_value:.2g} | {alarm} |")
    return lines
