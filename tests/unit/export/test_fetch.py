# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking politely, against real HTTP servers on loopback."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from export.data.fetch import Backoff, Download, FetchError, retry_after_s, today
from tests.unit.export.local_service import Answer, Asked, fetcher, unused_address


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_then_well(serve, status: int) -> None:
    service, waits = serve(Answer(status=status), Answer(b"here")), []
    assert fetcher(waits).get(service.url).content == b"here"
    assert len(service.asked) == 2
    assert len(waits) == 1
    assert 1.0 < waits[0] <= 2.0


def test_waits_as_long_as_it_is_told(serve) -> None:
    service, waits = serve(Answer(status=503, headers={"Retry-After": "17"}), Answer(b"here")), []
    assert fetcher(waits).get(service.url).content == b"here"
    assert waits == [17.0]


def test_a_wait_beyond_reason_is_refused_at_once(serve) -> None:
    service, waits = serve(Answer(status=503, headers={"Retry-After": "3600"})), []
    with pytest.raises(FetchError, match=r"503.*asks to wait 3600 s"):
        fetcher(waits).get(service.url)
    assert (len(service.asked), waits) == (1, [])


def test_gives_up_in_the_end(serve) -> None:
    service, waits = serve(Answer(status=503)), []
    with pytest.raises(FetchError, match=r"3 attempts: HTTP 503"):
        fetcher(waits).get(service.url)
    assert len(service.asked) == 3
    assert len(waits) == 2


@pytest.mark.parametrize("status", [300, 400, 404, 500])
def test_other_refusals_are_final(serve, status: int) -> None:
    service = serve(Answer(b"choose one", status))
    with pytest.raises(FetchError, match=str(status)):
        fetcher().get(service.url)
    assert len(service.asked) == 1


def test_a_body_cut_short_is_asked_for_again(serve) -> None:
    service = serve(Answer(b"x" * 1000, missing=400), Answer(b"x" * 1000))
    assert len(fetcher().get(service.url).content) == 1000
    assert len(service.asked) == 2


def test_a_body_always_cut_short_is_no_answer(serve) -> None:
    service = serve(Answer(b"x" * 1000, missing=400))
    with pytest.raises(FetchError, match="3 attempts"):
        fetcher().get(service.url)


def test_a_server_that_never_answers_is_left(serve) -> None:
    service = serve(Answer(dawdles=True))
    with pytest.raises(FetchError, match=r"2 attempts: timed out"):
        fetcher(attempts=2, read_s=0.1).get(service.url)
    assert len(service.asked) == 2


def test_refused_connection_is_final() -> None:
    waits: list[float] = []
    with pytest.raises(FetchError, match="refused"):
        fetcher(waits).get(unused_address())
    assert waits == []


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(attempts=9, first_s=2.0, cap_s=20.0)
    assert [backoff.wait_s(n, 0.0) for n in range(1, 7)] == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    assert backoff.wait_s(3, 0.5) == 6.0


def test_retry_after_as_date() -> None:
    now = datetime(2026, 2, 12, tzinfo=UTC)
    assert retry_after_s(format_datetime(now + timedelta(seconds=30), usegmt=True), now) == 30.0
    assert retry_after_s(format_datetime(now - timedelta(seconds=30), usegmt=True), now) == 0.0
    assert retry_after_s("soon", now) == retry_after_s("", now) == 0.0


def conditional(asked: Asked) -> Answer:
    """A file of version "a1" that answers as RFC 9110 says."""
    if asked.headers.get("If-None-Match") == '"a1"':
        return Answer(status=304)
    return Answer(b"list", headers={"ETag": '"a1"', "Last-Modified": "Thu, 12 Feb 2026 00:00:00 GMT"})


def test_an_unchanged_file_is_not_sent_twice(serve, tmp_path: Path) -> None:
    service = serve(conditional)
    first = fetcher().get_if_changed(service.url, tmp_path)
    assert first == Download(b"list", service.url, today())
    assert fetcher().get_if_changed(service.url, tmp_path) == first
    assert [asked.headers.get("If-None-Match") for asked in service.asked] == [None, '"a1"']
    assert service.asked[1].headers["If-Modified-Since"] == "Thu, 12 Feb 2026 00:00:00 GMT"


def test_a_changed_file_is_sent(serve, tmp_path: Path) -> None:
    service = serve(Answer(b"old", headers={"ETag": '"a0"'}), conditional)
    assert fetcher().get_if_changed(service.url, tmp_path).content == b"old"
    assert fetcher().get_if_changed(service.url, tmp_path).content == b"list"


@pytest.mark.parametrize("damage", ["content", "json"])
def test_a_damaged_copy_is_asked_for_in_full(serve, tmp_path: Path, damage: str) -> None:
    service = serve(conditional)
    fetcher().get_if_changed(service.url, tmp_path)
    next(tmp_path.glob(f"*.{damage}")).write_bytes(b"{}")
    assert fetcher().get_if_changed(service.url, tmp_path).content == b"list"
    assert "If-None-Match" not in service.asked[1].headers


def test_the_date_is_that_of_the_copy(serve, tmp_path: Path) -> None:
    service = serve(conditional)
    fetcher().get_if_changed(service.url, tmp_path)
    about = next(tmp_path.glob("*.json"))
    about.write_text(json.dumps({**json.loads(about.read_text()), "date": "2026-01-01"}))
    assert fetcher().get_if_changed(service.url, tmp_path).date == "2026-01-01"
