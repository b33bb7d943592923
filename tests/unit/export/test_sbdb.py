# SPDX-License-Identifier: GPL-3.0-or-later
"""Paging through JPL's Query API, against replies of the documented shape from a real HTTP server."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.data import catalogue, readers
from export.data.fetch import FetchError
from export.data.sbdb import QUERY_PARAMETERS, PageError, SbdbQuery
from tests.unit.export.local_service import Answer, Asked, fetcher, unused_address

FIELDS = QUERY_PARAMETERS["fields"].split(",")
SIGNATURE = {"source": "NASA/JPL SBDB (Small-Body DataBase) Query API", "version": "1.0"}


def row(n: int) -> list[Any]:
    """One object as JPL writes it: numbers as text, a padded name, a number that is a number."""
    known = {"spkid": 20_000_000 + n, "full_name": f"   {n} (1998 AB{n})", "H": "20.1", "epoch": "2461000.5",
             "a": "2.0", "q": "1.0", "e": ".5", "i": "5.0", "om": "1.0", "w": "2.0", "ma": "3.0", "tp": "2460990.0",
             "prefix": None, "n_obs_used": 96, "pha": "N", "class": "APO", "last_obs": "2026-01-05"}  # fmt: skip
    return [known.get(name) for name in FIELDS]


def page(rows: list[list[Any]], total: int, **changes: Any) -> bytes:
    return json.dumps({"signature": SIGNATURE, "fields": FIELDS, "data": rows, "count": total, **changes}).encode()


def jpl(total: int) -> Callable[[Asked], Answer]:
    """The service with so many objects."""

    def answer(asked: Asked) -> Answer:
        start, limit = int(asked.parameters["limit-from"]), int(asked.parameters["limit"])
        return Answer(page([row(n) for n in range(1, total + 1)][start : start + limit], total))

    return answer


@pytest.mark.parametrize(("total", "pages"), [(25, 3), (20, 2), (1, 1)])
def test_pages_make_one_reply(serve, tmp_path: Path, total: int, pages: int) -> None:
    service = serve(jpl(total))
    download = SbdbQuery(service.url, page_rows=10).fetch(fetcher(), tmp_path, quiet)
    assert [asked.parameters["limit-from"] for asked in service.asked] == [str(10 * n) for n in range(pages)]
    asked = service.asked[0].parameters
    assert (asked["limit"], asked["sb-group"], asked["sb-kind"], asked["full-prec"]) == ("10", "neo", "a", "true")
    frame = readers.parse(download.content, "inline")
    assert frame["designation"].tolist() == [f"1998 AB{n}" for n in range(1, total + 1)]


def quiet(what: str, fraction: float) -> None:
    pass


def test_progress_is_told_and_ends(serve, tmp_path: Path) -> None:
    told: list[float] = []
    SbdbQuery(serve(jpl(25)).url, page_rows=10).fetch(fetcher(), tmp_path, lambda _, done: told.append(done))
    assert told == [0.4, 0.8, 1.0]


def test_pages_are_kept_and_a_broken_run_goes_on(serve, tmp_path: Path) -> None:
    sound = jpl(25)
    service = serve(sound, sound, Answer(status=404), sound)
    source = SbdbQuery(service.url, page_rows=10)
    with pytest.raises(FetchError, match="404"):
        source.fetch(fetcher(), tmp_path, quiet)
    source.fetch(fetcher(), tmp_path, quiet)
    source.fetch(fetcher(), tmp_path, quiet)
    assert [asked.parameters["limit-from"] for asked in service.asked] == ["0", "10", "20", "20"]


def test_pages_of_another_day_are_not_used_and_not_kept(serve, tmp_path: Path) -> None:
    service = serve(jpl(25))
    source = SbdbQuery(service.url, page_rows=10)
    source.fetch(fetcher(), tmp_path, quiet)
    (day,) = (tmp_path / "jpl_sbdb").glob("????-??-??")
    day.rename(day.with_name("2026-01-01"))
    source.fetch(fetcher(), tmp_path, quiet)
    assert len(service.asked) == 6
    assert [path.name for path in (tmp_path / "jpl_sbdb").glob("????-??-??")] == [day.name]


def test_a_damaged_kept_page_is_asked_for_again(serve, tmp_path: Path) -> None:
    service = serve(jpl(25))
    source = SbdbQuery(service.url, page_rows=10)
    whole = source.fetch(fetcher(), tmp_path, quiet)
    next(tmp_path.glob("jpl_sbdb/*/*/0000010.json")).write_bytes(b'{"signature"')
    assert source.fetch(fetcher(), tmp_path, quiet) == whole
    assert [asked.parameters["limit-from"] for asked in service.asked] == ["0", "10", "20", "10"]


def test_busy_then_well(serve, tmp_path: Path) -> None:
    waits: list[float] = []
    service = serve(jpl(25), Answer(status=503, headers={"Retry-After": "9"}), jpl(25))
    content = SbdbQuery(service.url, page_rows=10).fetch(fetcher(waits), tmp_path, quiet).content
    assert len(json.loads(content)["data"]) == 25
    assert waits == [9.0]


def test_one_request_at_a_time(serve, tmp_path: Path) -> None:
    """Four fetches at once, of different queries, never meet at the service."""
    service = serve(jpl(60))
    sources = [SbdbQuery(service.url, page_rows=rows) for rows in (10, 11, 12, 13)]
    threads = [threading.Thread(target=source.fetch, args=(fetcher(), tmp_path, quiet)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(service.asked) == 6 + 6 + 5 + 5
    assert service.most_at_once == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>maintenance</html>", "no JSON"),
        (page([row(1)], 1)[:-40], "cut short"),
        (b"[]", "without a signature"),
        (page([row(1)], 1, signature={"source": "somebody else", "version": "1.0"}), "signed by 'somebody else'"),
        (page([row(1)], 1, signature={**SIGNATURE, "version": "2.0"}), "version '2.0'"),
        (page([row(1)], 3), "1 rows where 3 of 3 were expected"),
        (page([row(1), row(2)], 1), "2 rows where 1 of 1 were expected"),
        (page([row(1)], 1, count=None), "no count"),
        (page([row(1)], 1, fields=FIELDS[:-1]), "other fields"),
        (page([row(1)[:-1]], 1), "a row without one value"),
        (b'{"code": "400", "message": "invalid field"}', "without a signature"),
    ],
)
def test_what_is_no_page_is_refused_by_name(serve, tmp_path: Path, body: bytes, reason: str) -> None:
    service = serve(Answer(body))
    with pytest.raises(PageError, match=reason) as caught:
        SbdbQuery(service.url, page_rows=10).fetch(fetcher(), tmp_path, quiet)
    assert service.url in str(caught.value)
    assert not list(tmp_path.rglob("0*.json"))


def test_an_empty_list_is_an_empty_catalogue(serve, tmp_path: Path) -> None:
    content = SbdbQuery(serve(Answer(page([], 0))).url).fetch(fetcher(), tmp_path, quiet).content
    assert readers.parse(content, "inline").empty


def test_a_database_that_changed_meanwhile_is_read_again(serve, tmp_path: Path) -> None:
    service = serve(jpl(25), jpl(26))
    content = SbdbQuery(service.url, page_rows=10).fetch(fetcher(), tmp_path, quiet).content
    assert len(json.loads(content)["data"]) == 26
    assert [asked.parameters["limit-from"] for asked in service.asked] == ["0", "10", "0", "10", "20"]


def test_an_object_on_two_pages_is_refused(serve, tmp_path: Path) -> None:
    service = serve(Answer(page([row(n) for n in range(1, 11)], 20)))
    with pytest.raises(PageError, match="two pages"):
        SbdbQuery(service.url, page_rows=10).fetch(fetcher(), tmp_path, quiet)


def test_the_pages_become_a_catalogue(serve, tmp_path: Path) -> None:
    """From the first request to the cache, with one busy moment, as on a machine that reaches JPL."""
    service = serve(jpl(10_200), Answer(status=503), jpl(10_200))
    told: list[float] = []
    found = catalogue.load(
        None, tmp_path, services=[SbdbQuery(service.url)], fetcher=fetcher(), progress=lambda _, done: told.append(done)
    )
    assert [asked.parameters["limit-from"] for asked in service.asked] == ["0", "5000", "5000", "10000"]
    assert (found.provenance.source, found.provenance.rows) == (service.url, 10_200)
    assert found.provenance.date == "2026-01-05"
    assert told == sorted(told)
    assert told[-1] == 1.0
    again = catalogue.load(None, tmp_path, services=[SbdbQuery(service.url)], fetcher=fetcher())
    assert again.provenance == found.provenance
    assert len(service.asked) == 4


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="refused"):
        SbdbQuery(unused_address()).fetch(fetcher(), tmp_path, quiet)
