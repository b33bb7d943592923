# SPDX-License-Identifier: GPL-3.0-or-later
"""ESA NEOCC's lists, in the shape it gives them, from a real HTTP server."""

from pathlib import Path

import pandas as pd
import pytest

from export.data import neocc, parquet
from export.data.fetch import FetchError
from export.data.neocc import NeoccFormatError, NeoccList
from tests.unit.export.local_service import Answer, Asked, fetcher

RISK = """\
Last Update: 2021-10-04 05:49 UTC
            Object         |    Diameter    |             VI Max                                   |          VIs                  |
 Num/des.       Name       |   m  |   *=Y   |      Date/Time   |  IP max  | PS max |TS  | Vel km/s | Years     | IP cum   | PS cum |
AAAAAAAAA AAAAAAAAAAAAAAAA | NNNN |    A    | YYYY-MM-DD HH:MM | EEEEEEEE | NNN.NN | NN |  NNN.NN  | YYYY-YYYY | EEEEEEEE | NNN.NN |
2021QM1                    |   50 |    *    | 2052-04-02 01:36 |  2.98E-4 |  -2.72 |  0 |   23.72  | 2050-2054 |  2.98E-4 |  -2.72 |
2010QG2                    |   38 |         | 2051-09-05 09:16 |  6.48E-6 |  -4.72 | n/a|   17.06  | 2051-2070 |  6.77E-6 |  -4.71 |
101955              Bennu  |  490 |         | 2182-09-24 12:00 |  3.70E-4 |  -1.59 |n/a |   12.68  | 2178-2290 |  5.70E-4 |  -1.40 |
"""  # noqa: E501 - as NEOCC writes it
SPECIAL = """\
Last Update: 2021-10-04 05:49 UTC
            Object         |    Diameter    |             VI Max                                   |
 Num/des.       Name       |   m  |   *=Y   |      Date/Time   |  IP max  | PS max |TS  | Vel km/s |
AAAAAAAAA AAAAAAAAAAAAAAAA | NNNN |    A    | YYYY-MM-DD HH:MM | EEEEEEEE | NNN.NN | NN |  NNN.NN  |
"""
APPROACHES = """\
Last Update: 2023-08-03 13:44 UTC
            Object         |            |   Miss Distance             |     Diameter     |  H   | Max bright | Rel. vel | CAI index  |
 Num/des.       Name       | Date       |    km   |    au    |   LD   |   m    |  *=Yes  | mag  |   mag      | km/s     |            |
AAAAAAAAA AAAAAAAAAAAAAAAA | YYYY-MM-DD | DDDDDDD | D.DDDDDD | DD.DDD | NNNN   |   A     | DD.D |   DDD.D    | DD.D     | DDD.DDD    |
2023OW4                    | 2023-08-03 |  565277 | 0.003779 |  1.471 |   10   |   *     | 27.8 |    18.1    |  9.7     |   2.464    |
620082           2014QL433 | 2023-08-04 | 5348781 | 0.035754 | 13.915 |  400   |   *     | 19.9 |    15.8    | 20.6     |   0.767    |
2011CQ1                    | 2024-01-26 | 4335561 | 0.028981 | 11.279 |  1.4   |   *     | 32.0 |    26.4    |  4.6     |   5.943    |
"""  # noqa: E501 - as NEOCC writes it
OLD_APPROACHES = "\n".join(
    line[: line[:-1].rindex("|") + 1] if "|" in line else line for line in APPROACHES.split("\n")
)


def test_risk_list() -> None:
    table = neocc.parse(RISK, NeoccList.RISK)
    assert table.updated_utc == "2021-10-04 05:49"
    rows = table.rows
    assert rows["designation"].tolist() == ["2021 QM1", "2010 QG2", "101955"]
    assert rows["number"].fillna(0).tolist() == [0, 0, 101955]
    assert rows["name"].tolist() == ["", "", "Bennu"]
    assert rows["diameter_estimated_from_h"].tolist() == [True, False, False]
    assert rows["impact_probability_max"].tolist() == [2.98e-4, 6.48e-6, 3.7e-4]
    assert rows["palermo_scale_cumulative"].tolist() == [-2.72, -4.71, -1.4]
    assert rows["torino_scale"].isna().tolist() == [False, True, True]
    assert rows["most_probable_impact"].iloc[0] == pd.Timestamp("2052-04-02 01:36")
    assert rows[["first_year", "last_year"]].to_numpy().tolist() == [[2050, 2054], [2051, 2070], [2178, 2290]]
    assert rows["entry_velocity_km_s"].iloc[0] == 23.72


def test_a_list_without_rows_is_an_empty_table() -> None:
    rows = neocc.parse(SPECIAL, NeoccList.SPECIAL_RISK).rows
    assert rows.empty
    assert {"designation", "impact_probability_max", "entry_velocity_km_s"} <= set(rows.columns)
    assert str(rows["impact_probability_max"].dtype) == "float64"


@pytest.mark.parametrize("text", [APPROACHES, OLD_APPROACHES])
def test_close_approaches_of_both_ages(text: str) -> None:
    """Until 2021 the list had no column of the CAI index."""
    rows = neocc.parse(text, NeoccList.UPCOMING_APPROACHES).rows
    assert rows["designation"].tolist() == ["2023 OW4", "2014 QL433", "2011 CQ1"]
    assert rows["number"].fillna(0).tolist() == [0, 620082, 0]
    assert rows["miss_distance_km"].tolist() == [565277.0, 5348781.0, 4335561.0]
    assert rows["diameter_m"].tolist() == [10.0, 400.0, 1.4]
    assert rows["absolute_magnitude_h"].tolist() == [27.8, 19.9, 32.0]
    assert rows["brightest_magnitude_v"].tolist() == [18.1, 15.8, 26.4]
    assert rows["relative_velocity_km_s"].tolist() == [9.7, 20.6, 4.6]
    # The three distances say the same: 1 au = 149,597,870.7 km, one lunar distance = 384,399 km.
    assert rows["miss_distance_au"].mul(149_597_870.7).sub(rows["miss_distance_km"]).abs().max() < 75
    assert rows["miss_distance_lunar"].mul(384_399).sub(rows["miss_distance_km"]).abs().max() < 200


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2021QM1", ("2021 QM1", None, "")),
        ("A898PA", ("A898 PA", None, "")),
        ("6344P-L", ("6344 P-L", None, "")),
        ("99942           Apophis", ("99942", 99942, "Apophis")),
        ("6037                1988EG", ("1988 EG", 6037, "")),
        ("433", ("433", 433, "")),
    ],
)
def test_objects(cell: str, expected: tuple[str, int | None, str]) -> None:
    assert neocc._object(cell) == expected


@pytest.mark.parametrize(
    ("text", "which", "reason"),
    [
        ("", NeoccList.RISK, "no list of NEOCC's"),
        ("<html>Internal Server Error</html>", NeoccList.RISK, "no list of NEOCC's"),
        (APPROACHES, NeoccList.RISK, "other columns"),
        (RISK, NeoccList.UPCOMING_APPROACHES, "other columns"),
        (RISK[:-70], NeoccList.RISK, "line 7.*cut short"),
        (RISK.replace("6.48E-6", "       "), NeoccList.RISK, "line 6: impact_probability_max"),
        (RISK.replace("2051-09-05", "2051-99-05"), NeoccList.RISK, "line 6: most_probable_impact"),
        (RISK.replace("2051-2070", "2051     "), NeoccList.RISK, "line 6: years"),
        (RISK.replace("17.06", "fast "), NeoccList.RISK, "line 6: entry_velocity_km_s is 'fast'"),
    ],
)
def test_what_is_no_such_list_is_refused_by_line(text: str, which: NeoccList, reason: str) -> None:
    with pytest.raises(NeoccFormatError, match=reason):
        neocc.parse(text, which)


def answer(asked: Asked) -> Answer:
    lists = {"esa_risk_list": RISK, "esa_special_risk_list": SPECIAL}
    return Answer(lists.get(asked.parameters["file"], APPROACHES).encode(), headers={"ETag": '"1"'})


def test_all_lists_are_kept_with_where_they_are_from(serve, tmp_path: Path) -> None:
    service = serve(answer)
    told: list[float] = []
    paths = neocc.fetch_all(tmp_path, fetcher(), service.url, lambda _, done: told.append(done))
    assert [asked.parameters["file"] for asked in service.asked] == [str(which) for which in NeoccList]
    rows, provenance = parquet.read(paths[NeoccList.RISK])
    pd.testing.assert_frame_equal(rows, neocc.parse(RISK, NeoccList.RISK).rows)
    assert provenance["source"] == f"{service.url}?file=esa_risk_list"
    assert (provenance["updated_utc"], provenance["rows"]) == ("2021-10-04 05:49", 3)
    assert parquet.read(paths[NeoccList.SPECIAL_RISK])[0].empty
    assert told == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_page_of_errors_keeps_the_list_that_is_there(serve, tmp_path: Path) -> None:
    service = serve(Answer(RISK.encode()), Answer(b"<html>sorry</html>"), Answer(status=404))
    path = neocc.fetch(NeoccList.RISK, tmp_path, fetcher(), service.url)
    before = path.read_bytes()
    with pytest.raises(NeoccFormatError):
        neocc.fetch(NeoccList.RISK, tmp_path, fetcher(), service.url)
    with pytest.raises(FetchError, match="404"):
        neocc.fetch(NeoccList.RISK, tmp_path, fetcher(), service.url)
    assert path.read_bytes() == before
