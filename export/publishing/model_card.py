# SPDX-License-Identifier: GPL-3.0-or-later
"""`MODEL_CARD.md` of a version, written from its manifest (Mitchell et al. 2019, FAT*, "Model Cards")."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from export.publishing.manifest_checks import numbers
from export.publishing.publish import Manifest

FILE: Final = "MODEL_CARD.md"
_PARTS: Final = {"all": "all", "h_at_most_22": "H <= 22"}

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "neo_classifier": {
        "what": "Probability that a near-Earth asteroid is potentially hazardous (Earth MOID <= 0.05 au and H <= 22), "
        "and its orbit class, from six numbers: q, e, i, node, argument of perihelion, H.",
        "architecture": "A dense network over features computed inside the SavedModel's graph from raw elements, with "
        "one head for the hazard and one for the class; pruned, calibrated by temperature, and stored as the variant "
        "named above.",
        "use": "Ranking and filtering many orbits at once, as a second opinion beside the exact rule, which the "
        "service computes for every object and puts in the same reply.",
        "not_for": "Impact probabilities, warnings, or any decision about a single object: use JPL Sentry, ESA NEOCC "
        "or NEODyS. Orbits that are not closed, or that never come near the Earth's.",
        "limits": "The definition is exact and this network is not: on the boundary (MOID 0.05 au, H 22, the cuts of "
        "the classes) it is least certain. It knows nothing of how well an orbit is known. H carries errors "
        "of tenths of a magnitude.",
    },
    "neo_anomaly": {
        "what": "How unlike other known near-Earth asteroids an orbit and its brightness are: a score in (0, 1), its "
        "percentile in the population, and what each feature added.",
        "architecture": "An Isolation Forest (Liu, Ting & Zhou 2008) over seven features, features and all trees fused "
        "into one ONNX graph in double precision.",
        "use": "Choosing objects worth a second look, with the tags and the explanation that come with the score.",
        "not_for": "Saying that an object is dangerous or artificial: unusual means rare among what was discovered.",
        "limits": "The population is what surveys found: faint and distant objects are missing, and what is rare "
        "because hard to see counts as unusual. Orbits like the Earth's (co-orbitals, minimoons) are a blind spot of "
        "the forest and are tagged by rule. Poorly determined orbits look odd.",
    },
}
_ETHICS: Final = (
    "No personal data. A wrong or misread answer can alarm people or lull them: answers name the model's version and "
    "its training data, stand beside the exact rule, and must not be published as warnings."
)
_REPRODUCE: Final = (
    "`make export` on a machine with the libraries below and the same catalogue (its SHA-256 is above); all seeds are "
    "in `manifest.json`, which this card is written from."
)


def write_card(folder: Path, manifest: Manifest, figures: Sequence[Path] = ()) -> Path:
    """Write the card into a version's folder and say where.

    Args:
        folder: of the version.
        manifest: of the version.
        figures: pictures below the folder, shown in this order.
    """
    path = folder / FILE
    names = [figure.relative_to(folder).as_posix() for figure in figures]
    path.write_text(card(manifest, names), encoding="utf-8")
    return path


def card(manifest: Manifest, figures: Sequence[str] = ()) -> str:
    """The text of the card."""
    words = _WORDS[manifest.name]
    data = manifest.training_data
    source = (
        f"{data['description']}. Newest observation, or day of retrieval: {data['date']}. Source: {data['source']}, "
        f"SHA-256 `{data['sha256']}`. Labels are computed from the orbits by this project's own MOID and JPL's cuts."
    )
    lines = [
        f"# {manifest.name} {manifest.version}",
        words["what"],
        f"Variant {manifest.variant}, made {manifest.created_utc}.",
        "## Data",
        *(["**Synthetic: no real object was seen.**"] if data["kind"] == "synthetic" else []),
        source,
        *_training_orbits(manifest.details),
        *_retraining(manifest.details),
        "## Architecture",
        words["architecture"],
        _settings(manifest.details),
        "## Metrics",
        _metrics(manifest.metrics),
        *(f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in figures),
        "## Limits",
        words["limits"],
        "## Intended use",
        words["use"],
        "## Out of scope",
        words["not_for"],
        "## Ethical notes",
        _ETHICS,
        "## How to reproduce",
        _REPRODUCE,
        "\n".join(f"- {name} {version}" for name, version in sorted(manifest.libraries.items())),
    ]
    return "\n\n".join(lines) + "\n"


def _training_orbits(details: Mapping[str, Any]) -> list[str]:
    orbits = details.get("training_orbits")
    return [f"Trained on {orbits['real']} real and {orbits['synthetic']} flat synthetic orbits."] if orbits else []


def _retraining(details: Mapping[str, Any]) -> list[str]:
    used = details.get("retraining")
    if not used:
        return []
    rows = used["rows_set_aside"]
    words = f"Retraining run {used['run_id']}; citizens' consensus: {used['extraction_id'] or 'none'}"
    aside = f"; rows set aside as data errors: {', '.join(rows)}" if rows else "; no row set aside"
    return [f"{words}{aside}. Labels are the exact rule's: no vote changed one."]


def _settings(details: Mapping[str, Any]) -> str:
    settings = {**details.get("training", {}), **details.get("forest", {})}
    return "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in sorted(settings.items()))


def _metrics(metrics: Mapping[str, Any]) -> str:
    """By date with intervals where there are any, else every number by its name."""
    if "by_date" not in metrics:
        rows = [f"| {name.replace('_', ' ')} | {value:.6g} |" for name, value in numbers(dict(metrics))]
        return "\n".join(["| metric | value |", "|---|---|", *rows])
    rows = ["| metric, by date | " + " | ".join(_PARTS.values()) + " |", "|---|---|---|"]
    judged = metrics["by_date"]
    for name in (key for key, value in judged["all"].items() if isinstance(value, int | float)):
        cells = [_with_interval(judged[part].get(name), metrics, part, name) for part in _PARTS]
        rows.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    accuracy = judged["orbit_class"].get("accuracy")
    closing = "" if accuracy is None else f"\n\nOrbit class accuracy: {accuracy:.4f}."
    return "\n".join(rows) + "\n\nIn brackets: 95 % by bootstrap, where measured." + closing


def _with_interval(value: float | None, metrics: Mapping[str, Any], part: str, name: str) -> str:
    if value is None:
        return ""
    interval = metrics.get("intervals", {}).get(part, {}).get(name)
    return f"{value:.5g} [{interval[0]:.5g}, {interval[1]:.5g}]" if interval else f"{value:.5g}"
