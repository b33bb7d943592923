# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client refuses before it asks: each column and row by its name."""

import numpy as np
import pandas as pd
import pytest

from orrery.inference.tables import table_of


def orbits(**changed):
    columns = {
        "epoch_tdb_jd": [2461000.5] * 3,
        "semi_major_axis_au": [1.5, 1.2, 0.9],
        "eccentricity": [0.1, 0.2, 0.3],
        "inclination_deg": [1, 2, 3],
        "longitude_of_ascending_node_deg": ["10", "20.5", " 3e1"],
        "argument_of_perihelion_deg": [1.0, 2.0, 3.0],
    }
    return {name: values for name, values in {**columns, **changed}.items() if values is not None}


def refusal(columns):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the whole text is compared
        table_of(columns)
    return str(refused.value)


@pytest.fixture(params=[dict, pd.DataFrame])
def form(request):
    return request.param


def test_numbers_in_any_form_are_read(form):
    part = table_of(form(orbits(eccentricity=[0.1, None, 0.3]))).part(slice(None))
    assert list(part.longitude_of_ascending_node_deg) == [10.0, 20.5, 30.0]
    assert list(part.inclination_deg) == [1.0, 2.0, 3.0]
    assert np.isnan(part.eccentricity[1])


def test_cells_that_are_no_numbers_are_named_by_column_and_row(form):
    columns = orbits(eccentricity=["0.1", "", "0.3"], inclination_deg=["n/a", 2.0, "x" * 300])
    assert refusal(form(columns)) == (
        "not numbers: eccentricity[1] is '', inclination_deg[0] is 'n/a', inclination_deg[2] is '" + "x" * 59
    )


def test_cells_are_named_up_to_a_hundred_and_then_counted(form):
    columns = {name: values * 500 for name, values in orbits(eccentricity=["", "0.2", None]).items()}
    columns["eccentricity"] = ["", "0.2", "0.3"] * 500
    text = refusal(form(columns))
    assert text.startswith("not numbers: eccentricity[0] is '', eccentricity[3] is '',")
    assert text.endswith("eccentricity[297] is '' (and 400 more)")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.array(["2026-01-01"] * 3, "M8[D]"), r"holds datetime64\[\w+\], not numbers"),
        (np.array([1j, 2, 3]), "holds complex128, not numbers"),
        (np.array([True, False, True]), "holds bool, not numbers"),
    ],
)
def test_what_numpy_would_make_numbers_of_is_refused(form, values, complaint):
    with pytest.raises(ValueError, match=f"^eccentricity {complaint}$"):
        table_of(form(orbits(eccentricity=values)))


def test_sequences_in_a_column_are_refused():
    assert refusal(orbits(eccentricity=[[0.1], [0.2, 0.3], []])) == (
        "eccentricity holds sequences of different lengths, not numbers"
    )


def test_tables_without_rows_are_refused(form):
    empty = {name: [] for name in orbits()}
    assert refusal(form(empty)) == "the table has no rows; 1 or more are needed"


def test_short_names_and_slips_are_recognised():
    assert refusal(orbits(a=[1.0] * 3, excentricity=[0.1] * 3, note=["x"] * 3)).startswith(
        "no such columns: 'a' (is it semi_major_axis_au?), 'excentricity' (is it eccentricity?), 'note'; there are "
    )
    named_by_jpl = pd.DataFrame(orbits()).rename(
        columns={"semi_major_axis_au": "a", "eccentricity": "e", "inclination_deg": "i"}
    )
    assert refusal(named_by_jpl) == (
        "the table lacks eccentricity, inclination_deg, semi_major_axis_au or perihelion_distance_au;"
        " rename 'a' if it is semi_major_axis_au, 'e' if it is eccentricity, 'i' if it is inclination_deg"
    )


def test_what_a_table_lacks_is_named(form):
    assert refusal(form(orbits(eccentricity=None, semi_major_axis_au=None))) == (
        "the table lacks eccentricity, semi_major_axis_au or perihelion_distance_au"
    )
