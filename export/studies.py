# SPDX-License-Identifier: GPL-3.0-or-later
"""Studies behind the models, each a command that writes its page or table: what was tried, and what it came to."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from export import paths
from export.data.catalogue import Catalogue
from export.data.write_dataset import write_dataset
from export.progress import Progress

DOCUMENTS: Final = paths.PROJECT_ROOT / "docs" / "models"


def dataset(found: Catalogue, options: argparse.Namespace, progress: Progress) -> str:
    """The labelled catalogue as Parquet, split at random and by date."""
    written = write_dataset(found, options.folder, seed=options.split_seed, progress=progress)
    return f"{written.folder}: {written.rows} rows, sha256 {written.sha256}"


def search(found: Catalogue, options: argparse.Namespace, progress: Progress) -> str:
    """The classifier's settings, chosen without the judges."""
    from export.classifier.search import SearchSettings, run_search  # noqa: PLC0415 - tensorflow takes ten seconds

    return str(run_search(found, SearchSettings(), options.documents, progress))


def variants(found: Catalogue, options: argparse.Namespace, progress: Progress) -> str:
    """The compressed forms of one network side by side."""
    from export.classifier import variants_table  # noqa: PLC0415 - tensorflow takes ten seconds
    from export.classifier.job import QUICK  # noqa: PLC0415 - ditto

    page = options.documents / "compression.md"
    variants_table.make_table(found, QUICK.synthetic_orbits, QUICK.training, page, progress)
    return str(page)


def select_forest(found: Catalogue, options: argparse.Namespace, progress: Progress) -> str:
    """The forest's size."""
    from export.forest import selection  # noqa: PLC0415 - onnxruntime and scikit-learn are slow to load

    page = options.documents / "forest-selection.md"
    chosen = selection.select_forest(found, page, progress, _oddities(options.oddities))
    return f"{page}: {chosen}"


def anomaly_comparison(found: Catalogue, options: argparse.Namespace, progress: Progress) -> str:
    """The forest beside the autoencoder."""
    from export.autoencoder import report  # noqa: PLC0415 - tensorflow takes ten seconds
    from export.autoencoder.autoencoder import AutoencoderSettings  # noqa: PLC0415 - ditto
    from export.forest.isolation_forest import ForestSettings  # noqa: PLC0415 - ditto

    page = options.documents / "anomaly-comparison.md"
    listed = _oddities(options.oddities) or {}
    compared = report.compare(found, listed, ForestSettings(), AutoencoderSettings(), progress)
    report.write(compared, found.provenance.description, page)
    return str(page)


def _oddities(path: Path | None) -> Mapping[str, Sequence[str]] | None:
    if path is None:
        return None
    listed: Mapping[str, Sequence[str]] = json.loads(path.read_text(encoding="utf-8"))
    return listed
