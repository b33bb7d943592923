# SPDX-License-Identifier: GPL-3.0-or-later
"""What cleaning drops, what it keeps with a remark, and what it computes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from export.data.cleaning import clean
from export.data.readers import RAW_COLUMNS
from gateway.neo.units import GM_SUN_AU3_D2

GOOD = {
    "designation": "2004 MN4", "number": "99942", "name": "Apophis", "h": "19.09", "epoch_jd": "2461000.5",
    "a": "0.9223", "q": "0.7461", "e": "0.1911", "i": "3.34", "node": "203.9", "peri": "126.7", "m": "100.0",
    "tp": "2460900.0", "u": "0", "arc_days": "6000", "observations": "9000", "orbit_class": "ATE", "pha": "Y",
}  # fmt: skip


def raw(*changes: dict[str, str]) -> pd.DataFrame:
    """Rows like a good one, each with its own designation and its changes."""
    rows = [
        {**dict.fromkeys(RAW_COLUMNS, ""), **GOOD, "designation": f"2004 M{'ABCDEFGH'[n]}", "number": "", **change}
        for n, change in enumerate(changes)
    ]
    return pd.DataFrame(rows, columns=list(RAW_COLUMNS))


def kept(change: dict[str, str]) -> Any:
    objects, _ = clean(raw(change))
    return objects.iloc[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"h": "99.99"}, "H is a placeholder"),
        ({"h": ""}, "H missing"),
        ({"h": "bright"}, "H not numeric"),
        ({"h": "inf"}, "H not numeric"),
        ({"comet": "Y"}, "comet"),
        ({"comet": "Y", "h": ""}, "comet"),
        ({"designation": ""}, "no designation"),
        ({"e": ""}, "orbit incomplete or not numeric"),
        ({"node": "n/a"}, "orbit incomplete or not numeric"),
        ({"epoch_jd": ""}, "orbit incomplete or not numeric"),
        ({"epoch_jd": "61000"}, "epoch outside JD 2415020.5 to 2488069.5"),
        ({"tp": "", "m": ""}, "orbit incomplete or not numeric"),
        ({"q": "", "a": ""}, "orbit incomplete or not numeric"),
        ({"q": "-0.7461", "a": "-0.9223"}, "orbit impossible"),
        ({"i": "180.1"}, "orbit impossible"),
        ({"e": "-0.1", "q": ""}, "orbit impossible"),
        ({"q": "0.76"}, "perihelion distance contradicts a (1 - e)"),
        ({"e": "1.2", "a": "", "q": "0.7461"}, "not bound to the Sun"),
        ({"q": "1.3", "a": "2.6", "e": "0.5"}, "not near-Earth: q >= 1.3 au"),
    ],
)
def test_dropped_with_its_reason(change: dict[str, str], reason: str) -> None:
    objects, report = clean(raw({}, change))
    assert len(objects) == 1
    assert report.dropped[["row", "reason"]].to_numpy().tolist() == [[1, reason]]


def test_uncertainty_codes_that_are_no_numbers_stay() -> None:
    objects, report = clean(raw({"u": "E"}, {"u": ""}, {"u": "7"}))
    assert objects["uncertainty_code"].tolist() == ["E", "", "7"]
    assert report.remarks["uncertainty code not a number"] == 1
    assert report.remarks["uncertainty code missing"] == 1


def test_another_epoch_stays_as_it_is() -> None:
    objects, report = clean(raw({}, {}, {"epoch_jd": "2455500.5"}))
    assert objects["epoch_tdb_jd"].tolist() == [2461000.5, 2461000.5, 2455500.5]
    assert report.remarks["another epoch than most"] == 1


def test_perihelion_distance_from_the_other_two() -> None:
    assert kept({"q": ""})["perihelion_distance_au"] == pytest.approx(0.9223 * (1 - 0.1911), rel=1e-15)


def test_four_digits_are_no_contradiction() -> None:
    """JPL's short table of (1566) Icarus: a (1 - e) = 0.1865, q = 0.186."""
    assert kept({"q": "0.186", "a": "1.078", "e": "0.827"})["perihelion_distance_au"] == 0.186


@pytest.mark.parametrize(("mean_anomaly_deg", "sign"), [("90.0", -1.0), ("270.0", 1.0)])
def test_nearest_perihelion_from_mean_anomaly(mean_anomaly_deg: str, sign: float) -> None:
    """A quarter of the period ago, or a quarter ahead."""
    a_au = 0.7461 / (1 - 0.1911)
    period_d = 2 * np.pi * np.sqrt(a_au**3 / GM_SUN_AU3_D2)
    found = kept({"tp": "", "m": mean_anomaly_deg})["perihelion_time_tdb_jd"]
    assert found == pytest.approx(2461000.5 + sign * period_d / 4, abs=1e-6)


def test_angles_are_brought_into_one_turn() -> None:
    row = kept({"node": "360.0", "peri": "-10.0"})
    assert row["longitude_of_ascending_node_deg"] == 0.0
    assert row["argument_of_perihelion_deg"] == 350.0


def test_of_a_repeated_object_the_newest_orbit_stays() -> None:
    older = {"designation": "2004 MN4", "epoch_jd": "2455500.5"}
    newer = {"designation": "2004 MN4", "observations": "8000"}
    longer = {"designation": "2004 MN4", "observations": "9000"}
    objects, report = clean(raw(older, newer, longer))
    assert objects["observations"].tolist() == [9000]
    assert report.reasons() == {"repeats another row": 2}


def test_same_number_is_same_object() -> None:
    objects, _ = clean(raw({"number": "433"}, {"number": "433", "epoch_jd": "2461200.5"}))
    assert objects["designation"].tolist() == ["2004 MB"]


def test_designations_differ_by_case() -> None:
    objects, _ = clean(raw({"designation": "2012 TC4"}, {"designation": "2012 Tc4"}))
    assert len(objects) == 2


def test_a_bad_repeat_does_not_push_out_the_good_row() -> None:
    good, bad = {"designation": "2004 MN4"}, {"designation": "2004 MN4", "epoch_jd": "2462000.5", "h": "99.99"}
    objects, report = clean(raw(good, bad))
    assert len(objects) == 1
    assert report.reasons() == {"H is a placeholder": 1}


def test_arc_from_years() -> None:
    assert kept({"arc_days": "", "arc_years": "2000-2010"})["arc_days"] == 3652.5


@pytest.mark.parametrize(
    ("principal", "others", "year"),
    [
        ("2020 QM", "", 2020),
        ("2020 QM", "2019 RM4", 2019),
        ("2020 QM", "2021 AB,2003 WC46", 2003),
        ("99942", "2004 MN4", 2004),
        ("99942", "", None),
    ],
)
def test_first_reported_under_any_designation(principal: str, others: str, year: int | None) -> None:
    """2020 QM was reported as 2019 RM4 first: nobody discovered it in 2020."""
    found = kept({"designation": principal, "other_designations": others})["first_reported_year"]
    assert pd.isna(found) if year is None else found == year


def test_nothing_at_all() -> None:
    objects, report = clean(raw())
    assert objects.empty
    assert (report.rows_read, report.rows_kept) == (0, 0)
