# SPDX-License-Identifier: GPL-3.0-or-later
"""NEOSSat's observations, in the shape of the archive's CSV, from a real HTTP server."""

from pathlib import Path

import pytest

from export.data import neossat, parquet
from export.data.fetch import FetchError
from export.data.neossat import NeossatError
from tests.unit.export.local_service import Answer, fetcher

HEADER = "observationID,target_name,type,time_bounds_lower,time_bounds_upper,time_exposure,publisherID"
REPLY = f"""{HEADER}
2021316231503,"2020 QU6, field",OBJECT,59530.968785,59530.969942,100.0,ivo://cadc.nrc.ca/NEOSSAT?2021316231503/clean
2021316231503,99942,OBJECT,59530.969999,59530.970999,,ivo://cadc.nrc.ca/NEOSSAT?2021316231503/raw
"""


def test_observations_are_kept_with_the_question(serve, tmp_path: Path) -> None:
    service = serve(Answer(REPLY.encode()))
    assert neossat.fetch(59_530, 59_531, tmp_path / "neossat.parquet", fetcher(), service.url) == 2
    asked = service.asked[0].parameters
    assert (asked["REQUEST"], asked["LANG"], asked["FORMAT"]) == ("doQuery", "ADQL", "csv")
    assert "o.collection = 'NEOSSAT'" in asked["QUERY"]
    assert "p.time_bounds_lower >= 59530.000000 AND p.time_bounds_lower < 59531.000000" in asked["QUERY"]
    rows, provenance = parquet.read(tmp_path / "neossat.parquet")
    assert rows["target_name"].tolist() == ["2020 QU6, field", "99942"]
    assert rows["start_mjd"].tolist() == [59530.968785, 59530.969999]
    assert rows["exposure_s"].isna().tolist() == [False, True]
    assert provenance["query"] == asked["QUERY"]


def test_nothing_observed_is_an_empty_table() -> None:
    assert neossat.parse(HEADER + "\n").empty


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html>", "no table"),
        ("", "no table"),
        ("a,b\n1,2\n", "no table"),
        (REPLY.replace("59530.968785", "yesterday"), "broken table"),
        (REPLY + "1,2,3,4,5,6,7,8,9\n", "broken table"),
    ],
)
def test_anything_else_is_refused(text: str, reason: str) -> None:
    with pytest.raises(NeossatError, match=reason):
        neossat.parse(text)


def test_an_answer_cut_at_the_limit_is_refused() -> None:
    with pytest.raises(NeossatError, match="shorter time"):
        neossat.parse(HEADER + "\n" + "a,b,c,1,2,3,d\n" * neossat.MOST_ROWS)


def test_the_archive_is_away(serve, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="3 attempts: HTTP 503"):
        neossat.fetch(59_530, 59_531, tmp_path / "neossat.parquet", fetcher(), serve(Answer(status=503)).url)
    assert not (tmp_path / "neossat.parquet").exists()
