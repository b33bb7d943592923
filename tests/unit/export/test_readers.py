# SPDX-License-Identifier: GPL-3.0-or-later
"""The readers against small records with every known trap."""

import gzip
import json
from pathlib import Path

import pytest

from export.data import readers
from export.data.readers import CatalogueFormatError

EROS_MPC = {
    "H": 10.38, "Number": "(433)", "Name": "Eros", "Principal_desig": "A898 PA", "Epoch": 2461000.5, "M": 310.55432,
    "Peri": 178.92976, "Node": 304.2701, "i": 10.82847, "e": 0.222836, "a": 1.458121, "U": "0", "Num_obs": 16951,
    "Arc_years": "1893-2026", "Last_obs": "2026-02-10", "Tp": 2461088.8313, "Perihelion_dist": 1.1331991,
    "Orbit_type": "Amor",
}  # fmt: skip
HAZARDOUS_MPC = {**EROS_MPC, "Number": "(99942)", "Name": "Apophis", "Principal_desig": "2004 MN4", "PHA_flag": 1}

EROS_MPCORB = (
    "00433   11.16  0.46 K1972  84.17190  178.83549  304.30424   10.82858  0.2227385  0.55973997   1.4581823  "
    "0 MPO467611  8406  52 1893-2019 0.69 M-v 38h MPCLINUX   1804    (433) Eros               20190509"
)
SHORT_ARC_MPCORB = (
    "J98B13T 26.5   0.15 K1972 167.26157  353.41189  123.31485    1.42797  0.6046232  0.25185138   2.4833609  "
    "7 MPC 31291    15   1    6 days 1.05 M-v 3Eh Williams   2803          1998 BT13          19980130"
)

JPL_HEADER = "full_name,prefix,H,epoch,a,q,e,i,om,w,ma,tp,condition_code,class,pha,moid,last_obs"
JPL_ROWS = (
    "   433 Eros (A898 PA),,10.4,2459000.5,1.458,1.133,0.223,10.8,304.3,178.9,271.1,2459159.3,0,AMO,N,0.149,2020-09-03",
    "       (2012 TC4),,26.7,2459000.5,1.406,0.933,0.336,0.86,198.2,222.6,10.0,2458983.1,1,APO,N,0.0001,2017-12-01",
    "  249P/LINEAR,P,,2459000.5,2.8,0.51,0.817,8.4,239.1,65.6,200.0,2459031.0,2,JFc,N,0.4,2020-01-01",
    "     P/2013 TL117 (Lemmon),P,,2459000.5,3.5,1.1,0.68,9.4,239.1,65.6,200.0,2459031.0,2,JFc,N,0.4,2020-01-01",
    "       (A/2019 Q2),,20.4,2459000.5,20.8,1.27,0.939,158.0,240.0,65.6,2.0,2458900.0,5,AMO,N,0.4,2020-01-01",
    " 162173 Ryugu (1999 JU3),,19.3,2459000.5,1.19,0.963,0.19,5.88,251.6,211,67,2458913.0,0,APO,Y,0.0006,2020-01-01",
)  # fmt: skip


def mpc(*records: dict[str, object]) -> bytes:
    return json.dumps(records).encode()


def test_mpc_extended_from_json() -> None:
    row = readers.parse(mpc(EROS_MPC, HAZARDOUS_MPC), "inline").iloc[0]
    assert (row["number"], row["designation"], row["name"]) == ("433", "A898 PA", "Eros")
    assert float(row["q"]) == 1.1331991
    assert row["arc_years"] == "1893-2026"
    assert row["moid"] == ""


def test_other_designations_of_some() -> None:
    both = {**HAZARDOUS_MPC, "Other_desigs": ["1956 PC", "1972 AB"]}
    frame = readers.parse(mpc(EROS_MPC, both), "inline")
    assert frame["other_designations"].tolist() == ["", "1956 PC,1972 AB"]


def test_a_flag_that_is_left_out_means_no() -> None:
    """Where only some records have the flag, pandas makes 1.0 of the 1; that must still mean yes."""
    assert readers.parse(mpc(EROS_MPC, HAZARDOUS_MPC), "inline")["pha"].tolist() == ["N", "Y"]
    assert readers.parse(mpc(EROS_MPC), "inline")["pha"].tolist() == ["N"]


def test_missing_magnitude_is_empty_text() -> None:
    faint = {key: value for key, value in EROS_MPC.items() if key != "H"}
    assert readers.parse(mpc(EROS_MPC, faint), "inline")["h"].tolist() == ["10.38", ""]


def test_gzip_is_seen_by_content(tmp_path: Path) -> None:
    path = tmp_path / "catalogue"
    path.write_bytes(gzip.compress(mpc(EROS_MPC)))
    assert readers.read(path)["designation"].tolist() == ["A898 PA"]


def test_mpcorb() -> None:
    frame = readers.parse(f"{EROS_MPCORB}\n{SHORT_ARC_MPCORB}".encode(), "inline")
    eros, short_arc = frame.iloc[0], frame.iloc[1]
    assert (eros["number"], eros["name"], eros["designation"]) == ("433", "Eros", "433")
    assert (short_arc["number"], short_arc["name"], short_arc["designation"]) == ("", "", "1998 BT13")
    assert float(eros["epoch_jd"]) == 2458666.5  # K1972 is 2019 July 2
    assert (eros["arc_years"], eros["arc_days"]) == ("1893-2019", "")
    assert (short_arc["arc_years"], short_arc["arc_days"]) == ("", "6")
    assert eros["last_observation"] == "2019-05-09"


def test_mpcorb_hazard_flag_is_bit_15() -> None:
    flagged = EROS_MPCORB.replace("   1804    ", "   9804    ")
    assert readers.parse(f"{EROS_MPCORB}\n{flagged}".encode(), "inline")["pha"].tolist() == ["N", "Y"]


def test_mpcorb_header_is_passed_over() -> None:
    text = "MINOR PLANET CENTER ORBIT DATABASE\n\n-----------\n" + EROS_MPCORB
    assert len(readers.parse(text.encode(), "inline")) == 1


def test_jpl_csv_with_padded_names_and_comets() -> None:
    frame = readers.parse("\n".join([JPL_HEADER, *JPL_ROWS]).encode(), "inline")
    assert frame["designation"].tolist() == [
        "A898 PA", "2012 TC4", "249P/LINEAR", "P/2013 TL117 (Lemmon)", "A/2019 Q2", "1999 JU3",
    ]  # fmt: skip
    assert frame["number"].tolist() == ["433", "", "", "", "", "162173"]
    assert frame["comet"].tolist() == ["", "", "Y", "Y", "", ""]
    assert frame["pha"].tolist() == ["N", "N", "N", "N", "N", "Y"]


def test_jpl_query_reply_has_numbers_as_text() -> None:
    rows = [row.split(",") for row in JPL_ROWS[:2]]
    reply = {
        "signature": {"version": "1.0"},
        "fields": JPL_HEADER.split(","),
        "data": [[c or None for c in r] for r in rows],
    }
    from_json = readers.parse(json.dumps(reply).encode(), "inline")
    from_csv = readers.parse("\n".join([JPL_HEADER, *JPL_ROWS[:2]]).encode(), "inline")
    assert from_json.equals(from_csv)


def test_jpl_modified_julian_epoch() -> None:
    text = "epoch_mjd,a,e,i,om,w,ma,full_name\n59800,1.458,0.2227,10.83,304.29,178.93,358.82,   433 Eros (A898 PA)"
    assert float(readers.parse(text.encode(), "inline")["epoch_jd"].iloc[0]) == 2459800.5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"signature": {"version": "2.0"}, "fields": ["full_name"], "data": [["433 Eros"]]}',
        b"a,b,c\n1,2,3",
        b"[]",
        b'{"code": "503"}',
        b'[{"name": "Eros"}',
        b"\x1f\x8bbroken",
        b"\xff\xfe\x00",
        b"<html>",
    ],
)
def test_anything_else_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(CatalogueFormatError, match="some-file"):
        readers.parse(content, "some-file")
