# SPDX-License-Identifier: GPL-3.0-or-later
"""Real lists of the MPC and of JPL: what is read, what is left out, and labels against the authorities' own."""

import numpy as np
import pandas as pd

from export import cli
from export.data import catalogue, dataset, readers
from export.data.cleaning import clean
from export.data.write_dataset import write_dataset

MPC = "mpc_nea_extended_20260212.csv.gz"
JPL = "jpl_sbdb_udacity2020.csv.gz"


def test_mpc_list(real_data):
    objects, report = clean(readers.read(real_data.file(MPC)))
    assert report.rows_read == real_data.expected(sample=1_124, full=40_874)
    assert report.reasons() == {"H is a placeholder": 9, "H missing": 2}
    assert len(objects) == report.rows_kept == report.rows_read - 11
    # 61 rows of the file have another epoch; one of them has no H either.
    assert report.remarks["another epoch than most"] == 60
    assert report.remarks["uncertainty code not a number"] == 39
    assert report.remarks["year of discovery unknown"] == 0
    assert int(objects["catalogue_pha"].sum()) == real_data.expected(sample=67, full=2_529)
    survey = objects.set_index("designation").loc["6344 P-L"]
    assert survey["first_reported_year"] == 1960


def test_mpcorb_list(real_data):
    objects, report = clean(readers.read(real_data.file("mpc_NEA_20190509.txt.gz")))
    assert report.rows_read == real_data.expected(sample=106, full=20_060)
    assert report.reasons() == {"H missing": 2, "not near-Earth: q >= 1.3 au": 1}
    assert int(objects["catalogue_pha"].sum()) == real_data.expected(sample=13, full=1_970)
    assert not objects["designation"].eq("").any()


def test_jpl_lists(real_data):
    _, report = clean(readers.read(real_data.file(JPL)))
    assert (report.rows_read, report.reasons()) == (real_data.expected(sample=276, full=4_226), {"comet": 5})
    hazardous, report = clean(readers.read(real_data.file("jpl_sbdb_pha_202510.csv.gz")))
    assert (report.rows_read, report.reasons()) == (real_data.expected(sample=134, full=2_463), {})
    # Ten of the list no longer carry the flag.
    assert int(hazardous["catalogue_pha"].sum()) == report.rows_read - 10
    _, report = clean(readers.read(real_data.file("jpl_sbdb_neo_202207_sigmas.csv.gz")))
    # The table has no column H at all.
    assert report.rows_kept == 0
    assert report.reasons()["H missing"] == real_data.expected(sample=78, full=29_235)


def test_command_names_what_it_leaves_out(tmp_path, real_data, capsys):
    assert cli.main(["catalogue", "--catalogue", str(real_data.file(JPL)), "--cache", str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{real_data.expected(sample=271, full=4221)} near-Earth asteroids" in printed
    assert "left out: comet" in printed


def test_data_set(real_data, tmp_path):
    real = catalogue.load(real_data.file(MPC), tmp_path, services=())
    progress = []
    written = write_dataset(real, tmp_path / "dataset", progress=lambda _, done: progress.append(done))
    rows = sum(written.rows[f"random/{part}.parquet"] for part in ("train", "validation", "test"))
    assert rows == real_data.expected(sample=1_113, full=40_863)
    assert progress == [0.0, 0.6, 1.0]
    dropped = pd.read_csv(tmp_path / "dataset" / "dropped.csv")
    assert dropped.columns.tolist() == ["row", "designation", "reason"]
    assert len(dropped) == 11


def test_labels_agree_with_the_minor_planet_center(real_data):
    """The MPC's MOIDs are of another day: of all its 2,529 flags ours are 2,526, and 5 more."""
    objects, _ = clean(readers.read(real_data.file(MPC)))
    labelled = dataset.label(objects, real=True)
    assert len(labelled) == len(objects)
    flagged = objects["catalogue_pha"].to_numpy(dtype=np.bool_)
    both = (flagged & labelled.hazardous).sum()
    assert both / labelled.hazardous.sum() >= 0.99
    assert both / flagged.sum() >= 0.99


def test_labels_agree_with_jpl(real_data):
    objects, _ = clean(readers.read(real_data.file(JPL)))
    labelled = dataset.label(objects, real=True)
    assert len(labelled) == len(objects)
    classes = objects["catalogue_class"].map({"IEO": 0, "ATE": 1, "APO": 2, "AMO": 3}).to_numpy()
    assert (labelled.orbit_class != classes).sum() <= 2
    # JPL's own MOID and H, by the definition: the same for every object.
    assert np.array_equal(
        labelled.hazardous,
        (objects["catalogue_earth_moid_au"] <= 0.05) & (objects["absolute_magnitude_h"] <= 22.0),
    )
    # JPL's flag of the day lags behind its H for a few near the limit, all of them in the sample too.
    differs = objects["catalogue_pha"].to_numpy(dtype=np.bool_) != labelled.hazardous
    assert differs.sum() == 10
    assert objects["absolute_magnitude_h"][differs].between(21.8, 22.2).all()
