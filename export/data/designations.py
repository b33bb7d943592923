# SPDX-License-Identifier: GPL-3.0-or-later
"""Designations of minor planets: packed forms, and the year an object was first reported.

Source: Minor Planet Center, "Packed Provisional and Permanent Designations" and
"New- And Old-Style Minor Planet Designations". Designations are case-exact: K12TB3C and K12Tb3C
(2012 TC113 and 2012 TC373) are different objects.
"""

import re
import string
from typing import Final

from export.errors import ExportError

BASE_62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase

_PROVISIONAL: Final = re.compile(r"(?:A/)?(?:A(?P<old>\d{3})|(?P<year>\d{4})) [A-HJ-Y][A-HJ-Z]?\d*")
_SURVEY: Final = re.compile(r"\d{4} (?P<survey>P-L|T-[123])")
_PACKED_PROVISIONAL: Final = re.compile(r"[IJKL]\d\d[A-HJ-Y][0-9A-Za-z]\d[A-HJ-Z]")
_PACKED_SURVEY: Final = re.compile(r"(?P<survey>PL|T[123])S(?P<digits>\d{4})")
_PACKED_NUMBER: Final = re.compile(r"(?P<high>[0-9A-Za-z])(?P<low>\d{4})")
_PACKED_LARGE_NUMBER: Final = re.compile(r"~(?P<digits>[0-9A-Za-z]{4})")

_CENTURIES: Final = {"I": 1800, "J": 1900, "K": 2000, "L": 2100}
_FIRST_LARGE_NUMBER: Final = 620_000
_LAST_YEAR_IN_OLD_STYLE: Final = 1924
# The Palomar-Leiden survey and the three Trojan surveys: years of their plates.
_SURVEY_YEARS: Final = {"P-L": 1960, "T-1": 1971, "T-2": 1973, "T-3": 1977}


class DesignationError(ExportError):
    """A text is no designation of a minor planet in the forms known here."""


def is_provisional(text: str) -> bool:
    """Whether a text is an unpacked provisional designation ("2024 YR4", "A898 PA", "6344 P-L")."""
    return bool(_PROVISIONAL.fullmatch(text) or _SURVEY.fullmatch(text))


def first_reported_year(designation: str) -> int | None:
    """The year in a provisional designation; None for a number, a name or anything else.

    For nearly all near-Earth objects this is the year of discovery.
    """
    if match := _PROVISIONAL.fullmatch(designation):
        return 1000 + int(match["old"]) if match["old"] else int(match["year"])
    if match := _SURVEY.fullmatch(designation):
        return _SURVEY_YEARS[match["survey"]]
    return None


def unpack_provisional(packed: str) -> str:
    """A packed provisional designation in its readable form: "K12TB3C" is "2012 TC113".

    Raises:
        DesignationError: the text has no such form.
    """
    if match := _PACKED_SURVEY.fullmatch(packed):
        survey = match["survey"]
        return f"{match['digits']} {'P-L' if survey == 'PL' else f'T-{survey[1]}'}"
    if not _PACKED_PROVISIONAL.fullmatch(packed):
        raise DesignationError(f"{packed!r} is no packed provisional designation")
    year = _CENTURIES[packed[0]] + int(packed[1:3])
    cycle = BASE_62.index(packed[4]) * 10 + int(packed[5])
    shown_year = f"A{year - 1000}" if year <= _LAST_YEAR_IN_OLD_STYLE else str(year)
    return f"{shown_year} {packed[3]}{packed[6]}{cycle or ''}"


def unpack_number(packed: str) -> int:
    """A packed number: "00433" is 433, "A0345" is 100345, "~0000" is 620000.

    Raises:
        DesignationError: the text has no such form.
    """
    if match := _PACKED_NUMBER.fullmatch(packed):
        return BASE_62.index(match["high"]) * 10_000 + int(match["low"])
    if match := _PACKED_LARGE_NUMBER.fullmatch(packed):
        value = 0
        for digit in match["digits"]:
            value = value * len(BASE_62) + BASE_62.index(digit)
        return _FIRST_LARGE_NUMBER + value
    raise DesignationError(f"{packed!r} is no packed number")


def unpack_epoch(packed: str) -> tuple[int, int, int]:
    """A packed date as (year, month, day): "K194R" is 2019 April 27.

    Raises:
        DesignationError: the text has no such form.
    """
    match = re.fullmatch(r"([IJKL])(\d\d)([1-9A-C])([1-9A-V])", packed)
    if not match:
        raise DesignationError(f"{packed!r} is no packed date")
    return (
        _CENTURIES[match[1]] + int(match[2]),
        BASE_62.index(match[3]),
        BASE_62.index(match[4]),
    )
