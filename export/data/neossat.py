# SPDX-License-Identifier: GPL-3.0-or-later
"""Optional: what the NEOSSat space telescope observed, as metadata from the Canadian Astronomy Data Centre.

Nothing here enters a model: a target's name is free text, and images give neither orbit nor H without a reduction
that is not ours. It answers "when was this object watched from orbit", for follow-up work.

Sources: CADC TAP service "argus" (https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/argus, no account needed), tables
caom2.Observation and caom2.Plane of CAOM-2.4, collection NEOSSAT; IVOA TAP 1.1 (sync queries, LANG, QUERY, FORMAT).
"""

import io
from pathlib import Path
from typing import Final

import pandas as pd

from export.data import parquet
from export.data.fetch import Fetcher, today
from export.errors import ExportError

TAP_URL: Final = "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/argus/sync"
MOST_ROWS: Final = 20_000

_COLUMNS: Final = {
    "observationID": "observation_id",
    "target_name": "target_name",
    "type": "observation_type",
    "time_bounds_lower": "start_mjd",
    "time_bounds_upper": "end_mjd",
    "time_exposure": "exposure_s",
    "publisherID": "publisher_id",
}
_NUMBERS: Final = ("start_mjd", "end_mjd", "exposure_s")


class NeossatError(ExportError):
    """The archive's answer is no table of observations, or not all of it."""


def query(first_mjd: float, last_mjd: float) -> str:
    """The ADQL for all science planes that began in [first, last), the earliest first."""
    # Two numbers and constants: nothing of a user's text is in the query.
    return (
        f"SELECT TOP {MOST_ROWS} o.observationID, o.target_name, o.type, p.time_bounds_lower, p.time_bounds_upper, "  # noqa: S608 - said above
        "p.time_exposure, p.publisherID FROM caom2.Observation AS o JOIN caom2.Plane AS p ON o.obsID = p.obsID "
        f"WHERE o.collection = 'NEOSSAT' AND p.time_bounds_lower >= {first_mjd:.6f} "
        f"AND p.time_bounds_lower < {last_mjd:.6f} ORDER BY p.time_bounds_lower"
    )


def parse(text: str) -> pd.DataFrame:
    """The reply (CSV with a header) as `observation_id`, `target_name`, …, times as MJD (UTC), exposure in seconds.

    Raises:
        NeossatError: another table, an error text, or a reply that was cut at `MOST_ROWS`.
    """
    if text.partition("\n")[0].strip().lower() != ",".join(_COLUMNS).lower():
        raise NeossatError(f"no table of NEOSSat observations: it begins {text[:60]!r}")
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        frame.columns = pd.Index(_COLUMNS.values())
        for name in _NUMBERS:
            frame[name] = pd.to_numeric(frame[name].where(frame[name] != "")).astype("float64")
    except (pd.errors.ParserError, ValueError) as error:
        raise NeossatError(f"a broken table of NEOSSat observations: {error}") from error
    if len(frame) >= MOST_ROWS:
        raise NeossatError(f"{MOST_ROWS} observations or more: ask for a shorter time")
    return frame


def fetch(first_mjd: float, last_mjd: float, path: Path, fetcher: Fetcher | None = None, url: str = TAP_URL) -> int:
    """Keep the observations that began in [first, last) as Parquet with its provenance; returns how many there are.

    Raises:
        export.data.fetch.FetchError: no answer.
        NeossatError: as `parse`.
    """
    adql = query(first_mjd, last_mjd)
    reply = (fetcher or Fetcher()).get(url, {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "csv", "QUERY": adql})
    frame = parse(reply.text)
    provenance = {
        "source": url,
        "query": adql,
        "date": today(),
        "rows": len(frame),
        "credit": "NEOSSat, CSA/DRDC; data from the Canadian Astronomy Data Centre",
    }
    parquet.write(frame, path, provenance)
    return len(frame)
