# SPDX-License-Identifier: GPL-3.0-or-later
"""All near-Earth asteroids of JPL's Small-Body Database, page by page.

Source: JPL "SBDB Query API" version 1.0 (https://ssd-api.jpl.nasa.gov/doc/sbdb_query.html) and "SBDB Filter"
(sbdb_filter.html). A reply is `{"signature": {"source", "version"}, "fields", "data", "count"}`; `count` is the number
of matching records whatever `limit` says. The documentation warns that the database may change between two pages:
the count of each page must be that of the first, and no object may come twice.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from export.data.fetch import Download, Fetcher, FetchError, alone, today, write_whole
from export.progress import Progress

LOGGER: Final = logging.getLogger(__name__)

QUERY_URL: Final = "https://ssd-api.jpl.nasa.gov/sbdb_query.api"
QUERY_PARAMETERS: Final[Mapping[str, str]] = {
    "sb-group": "neo",
    "sb-kind": "a",
    "full-prec": "true",
    "sort": "spkid",
    "fields": "spkid,full_name,prefix,H,epoch,a,q,e,i,om,w,ma,tp,condition_code,data_arc,n_obs_used,class,pha,moid,"
    "last_obs",
}
PAGE_ROWS: Final = 5_000
_MAJOR_VERSION: Final = "1"
_SOURCE_WORDS: Final = ("NASA/JPL", "SBDB", "Query API")
_KEY_FIELD: Final = "spkid"


class PageError(FetchError):
    """A page is no page of the query: wrong signature, truncated, or inconsistent with the others."""


class ChangedError(PageError):
    """The database changed while its pages were read."""


@dataclass(frozen=True, slots=True)
class SbdbQuery:
    """JPL's Query API as a source of a catalogue.

    Attributes:
        url: the service.
        parameters: the query, without its paging; the fields must include `spkid`.
        page_rows: records a page.
    """

    url: str = QUERY_URL
    parameters: Mapping[str, str] = field(default_factory=lambda: QUERY_PARAMETERS)
    page_rows: int = PAGE_ROWS

    def fetch(self, fetcher: Fetcher, folder: Path, progress: Progress) -> Download:
        """Every page, merged into one reply of the same shape. Pages of the same day are not asked for twice.

        Raises:
            FetchError: the service gave no answer, or a page was refused (`PageError`).
        """
        date = today()
        pages = folder / "jpl_sbdb" / date / self._query_key()
        for older in (folder / "jpl_sbdb").glob("????-??-??"):
            if older.name != date:
                shutil.rmtree(older)
        try:
            return self._read_all(fetcher, pages, progress)
        except ChangedError as error:
            LOGGER.warning("catalogue: %s; reading it from the start", error)
            _forget(pages)
            return self._read_all(fetcher, pages, progress)

    def _query_key(self) -> str:
        text = json.dumps([self.url, self.page_rows, dict(self.parameters)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _read_all(self, fetcher: Fetcher, pages: Path, progress: Progress) -> Download:
        first = self._page(fetcher, pages, 0, None)
        total: int = first["count"]
        rows: list[list[Any]] = list(first["data"])
        while len(rows) < total:
            progress("reading JPL's Small-Body Database", len(rows) / total)
            rows += self._page(fetcher, pages, len(rows), total)["data"]
        column = self.parameters["fields"].split(",").index(_KEY_FIELD)
        if len({row[column] for row in rows}) != total:
            raise ChangedError(f"{self.url}: an object stands on two pages")
        progress("reading JPL's Small-Body Database", 1.0)
        merged = {**first, "data": rows}
        return Download(json.dumps(merged, separators=(",", ":")).encode(), self.url, pages.parent.name)

    def _page(self, fetcher: Fetcher, pages: Path, start: int, total: int | None) -> dict[str, Any]:
        path = pages / f"{start:07d}.json"
        paging = {"limit": str(self.page_rows), "limit-from": str(start)}
        # Within the lock, so that another process waiting for the same page finds it written.
        with alone(pages.parent.parent):
            if path.is_file():
                try:
                    return self._checked(path.read_bytes(), start, total)
                except PageError as error:
                    LOGGER.warning("catalogue: the kept copy is refused: %s; asking again", error)
            content = fetcher.get(self.url, {**self.parameters, **paging}).content
            page = self._checked(content, start, total)
            write_whole(path, content)
        return page

    def _checked(self, content: bytes, start: int, total: int | None) -> dict[str, Any]:
        where = f"{self.url}, page from record {start}"
        try:
            page = json.loads(content)
        except ValueError as error:
            raise PageError(f"{where}: no JSON, or JSON cut short: {error}") from error
        if not isinstance(page, dict) or not isinstance(page.get("signature"), dict):
            raise PageError(f"{where}: JSON without a signature")
        source, version = (str(page["signature"].get(name, "")) for name in ("source", "version"))
        if not all(word in source for word in _SOURCE_WORDS):
            raise PageError(f"{where}: signed by {source!r}, not by JPL's SBDB Query API")
        if version.partition(".")[0] != _MAJOR_VERSION:
            raise PageError(f"{where}: version {version!r} of the Query API, not {_MAJOR_VERSION}.x")
        fields, data = page.get("fields"), page.get("data")
        if fields != self.parameters["fields"].split(","):
            raise PageError(f"{where}: other fields than were asked for")
        if not isinstance(data, list) or not str(page.get("count")).isdecimal():
            raise PageError(f"{where}: no data, or no count")
        count = page["count"] = int(page["count"])
        if total is not None and count != total:
            raise ChangedError(f"{where}: {count} objects in all, but {total} on the first page")
        expected = max(0, min(self.page_rows, count - start))
        if len(data) != expected:
            raise PageError(f"{where}: {len(data)} rows where {expected} of {count} were expected")
        if any(not isinstance(row, list) or len(row) != len(fields) for row in data):
            raise PageError(f"{where}: a row without one value for each of {len(fields)} fields")
        return page


def _forget(pages: Path) -> None:
    for path in pages.glob("*.json"):
        path.unlink()
