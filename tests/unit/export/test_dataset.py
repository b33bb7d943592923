# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels and splits."""

import numpy as np
import pytest

from export.data import dataset
from gateway.neo.orbit_class import OrbitClass


def test_classes_stand_in_the_order_of_the_output() -> None:
    objects = dataset.flat_orbits(4, 1).assign(
        perihelion_distance_au=[0.5, 0.7, 0.9, 1.1], eccentricity=[0.2, 0.2, 0.4, 0.4]
    )
    assert dataset.label(objects, real=False).orbit_class.tolist() == [0, 1, 2, 3]
    assert [c.name for c in dataset.CLASSES] == ["ATIRA", "ATEN", "APOLLO", "AMOR"]
    assert [int(c) for c in dataset.CLASSES] == [1, 2, 3, 4]


def test_what_cannot_be_labelled_is_left_out() -> None:
    objects = dataset.flat_orbits(4, 1)
    objects.loc[0, "epoch_tdb_jd"] = 2_600_000.5
    objects.loc[1, "eccentricity"] = 1.1
    labelled = dataset.label(objects, real=True)
    assert len(labelled) == 2
    assert labelled.real.all()


def test_flat_population_holds_every_class_and_both_labels() -> None:
    labelled = dataset.label(dataset.flat_orbits(20_000, 3), real=False)
    assert np.bincount(labelled.orbit_class, minlength=4).min() > 1_000
    assert 0.1 < labelled.hazardous.mean() < 0.2
    assert not labelled.real.any()


def test_flat_population_is_seeded() -> None:
    assert dataset.flat_orbits(50, 3).equals(dataset.flat_orbits(50, 3))
    assert not dataset.flat_orbits(50, 3).equals(dataset.flat_orbits(50, 4))


def test_split_by_year_on_the_boundary() -> None:
    objects = dataset.synthetic_catalogue(4, 1)
    objects["first_reported_year"] = [2019, 2020, None, 2025]
    objects["first_reported_year"] = objects["first_reported_year"].astype("Int64")
    earlier, later = dataset.split_by_year(objects, 2020)
    assert earlier.index.tolist() == [0, 2]
    assert later.index.tolist() == [1, 3]


@pytest.mark.parametrize("count", [1_000, 1_001, 7])
def test_random_split_is_disjoint_whole_and_seeded(count: int) -> None:
    marks = np.arange(count, dtype=np.float64)[:, None].repeat(6, axis=1)
    data = dataset.Labelled(marks, marks[:, 0] > 3, np.zeros(count, np.int64), np.ones(count, np.bool_))
    split = dataset.split_at_random(data, 1)
    parts = [part.columns[:, 0] for part in (split.train, split.validation, split.test)]
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert [round(len(part) / count, 1) for part in parts[:1]] == [0.7]
    assert abs(len(parts[1]) - 0.15 * count) <= 1
    again = dataset.split_at_random(data, 1)
    assert np.array_equal(split.test.columns, again.test.columns)
    assert not np.array_equal(split.train.columns, dataset.split_at_random(data, 2).train.columns)


def test_every_class_of_a_near_earth_object_is_told_apart() -> None:
    assert set(dataset.CLASSES) == set(OrbitClass) - {OrbitClass.OTHER}
