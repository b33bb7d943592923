# SPDX-License-Identifier: GPL-3.0-or-later
"""Examples are the Minor Planet Center's own, from "Packed Provisional and Permanent Designations"."""

import pytest

from export.data import designations
from export.data.designations import DesignationError


@pytest.mark.parametrize(
    ("packed", "readable"),
    [
        ("J95X00A", "1995 XA"),
        ("J95X01L", "1995 XL1"),
        ("J95F13B", "1995 FB13"),
        ("J98SA8Q", "1998 SQ108"),
        ("J98SC7V", "1998 SV127"),
        ("J98SG2S", "1998 SS162"),
        ("K99AJ3Z", "2099 AZ193"),
        ("K08Aa0A", "2008 AA360"),
        ("K07Tf8A", "2007 TA418"),
        ("PLS2040", "2040 P-L"),
        ("T1S3138", "3138 T-1"),
        ("T3S4101", "4101 T-3"),
        ("I98P00A", "A898 PA"),
    ],
)
def test_provisional(packed: str, readable: str) -> None:
    assert designations.unpack_provisional(packed) == readable
    assert designations.is_provisional(readable)


def test_case_is_exact() -> None:
    assert designations.unpack_provisional("K12TB3C") == "2012 TC113"
    assert designations.unpack_provisional("K12Tb3C") == "2012 TC373"


@pytest.mark.parametrize(
    ("packed", "number"),
    [("00001", 1), ("99999", 99_999), ("A0000", 100_000), ("A0017", 100_017), ("a0017", 360_017), ("K3289", 203_289),
     ("~0000", 620_000), ("~000z", 620_061), ("~AZaz", 3_140_113)],
)  # fmt: skip
def test_number(packed: str, number: int) -> None:
    assert designations.unpack_number(packed) == number


@pytest.mark.parametrize(
    ("packed", "date"),
    [("J9611", (1996, 1, 1)), ("J961A", (1996, 1, 10)), ("J969U", (1996, 9, 30)), ("J96A1", (1996, 10, 1)),
     ("K01AM", (2001, 10, 22))],
)  # fmt: skip
def test_epoch(packed: str, date: tuple[int, int, int]) -> None:
    assert designations.unpack_epoch(packed) == date


@pytest.mark.parametrize("text", ["", "J95X0", "J95I00A", "2012 TC4", "K12TB3", "PLS20401", "k12TB3C"])
def test_what_is_no_provisional_designation(text: str) -> None:
    with pytest.raises(DesignationError):
        designations.unpack_provisional(text)


@pytest.mark.parametrize("text", ["", "433", "~000", "0433-"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(DesignationError):
        designations.unpack_number(text)


@pytest.mark.parametrize(
    ("designation", "year"),
    [("A898 PA", 1898), ("1948 OA", 1948), ("2024 YR4", 2024), ("6344 P-L", 1960), ("3138 T-1", 1971),
     ("1005 T-2", 1973), ("4101 T-3", 1977), ("A/2019 Q2", 2019), ("433", None), ("Eros", None), ("", None)],
)  # fmt: skip
def test_year_first_reported(designation: str, year: int | None) -> None:
    """ "6344 P-L" is of 1960, though it begins with what looks like a year."""
    assert designations.first_reported_year(designation) == year
