# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions are loaded and unloaded, in which order, and who may still use them."""

from pathlib import Path

import pytest

from gateway.model_server.errors import Refusal, data_loss
from gateway.model_server.repository import Repository, State

MODEL = "m"


class Loaded:
    """What a folder loads as here: its name, until it is closed."""

    def __init__(self, folder):
        self.name = folder.name
        self.is_open = True

    def close(self):
        assert self.is_open
        self.is_open = False


class Scene:
    """A repository, what it reported, and version folders below a temporary one."""

    def __init__(self, root):
        self.root = root
        self.events = []
        self.idle = 0
        self.repository = Repository(self.load, self.note, self.note_idle)

    def load(self, folder):
        if (folder / "broken").exists():
            raise data_loss("broken")
        return Loaded(folder)

    def note(self, _model, status):
        self.events.append((status.number, status.state.name))

    def note_idle(self):
        self.idle += 1

    def folder(self, number) -> Path:
        path = self.root / str(number)
        if not path.exists():
            path.mkdir()
            (path / "saved_model.pb").touch()
        return path

    def aspire(self, *numbers):
        self.repository.aspire(MODEL, {number: self.folder(number) for number in numbers})

    def settle(self):
        while self.repository.step():
            pass

    def states(self):
        return {status.number: status.state.name for status in self.repository.statuses(MODEL)}


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_a_version_goes_through_every_state(scene):
    scene.aspire(1)
    scene.settle()
    scene.aspire()
    scene.settle()
    states = ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
    assert scene.events == [(1, state) for state in states]
    assert [State[name].value for name in states] == [10, 20, 30, 40, 50]


def test_the_new_version_is_available_before_the_old_one_is_unloaded(scene):
    scene.aspire(1)
    scene.settle()
    scene.events.clear()
    scene.aspire(2)
    scene.settle()
    assert scene.events.index((2, "AVAILABLE")) < scene.events.index((1, "UNLOADING"))


def test_all_wanted_versions_are_loaded_highest_first_before_any_is_unloaded(scene):
    scene.aspire(1, 2)
    scene.settle()
    scene.events.clear()
    scene.aspire(2, 3, 4)
    scene.settle()
    assert [event for event in scene.events if event[1] in ("AVAILABLE", "UNLOADING")] == [
        (4, "AVAILABLE"),
        (3, "AVAILABLE"),
        (1, "UNLOADING"),
    ]


def test_a_call_in_flight_keeps_its_version_until_it_ends(scene):
    scene.aspire(1)
    scene.settle()
    with scene.repository.use(MODEL) as (number, servable):
        scene.aspire(2)
        scene.settle()
        assert number == 1
        assert servable.is_open
        assert scene.states() == {2: "AVAILABLE", 1: "UNLOADING"}
        with scene.repository.use(MODEL) as (other, _):
            assert other == 2
        with pytest.raises(Refusal, match=r"Specific\(m, 1\)"), scene.repository.use(MODEL, 1):
            pass
        assert scene.idle == 0
    assert scene.idle == 1
    scene.settle()
    assert not servable.is_open
    assert scene.states() == {2: "AVAILABLE", 1: "END"}


def test_a_call_that_raises_gives_its_version_back(scene):
    scene.aspire(1)
    scene.settle()
    with pytest.raises(ZeroDivisionError), scene.repository.use(MODEL):
        _ = 1 / 0
    scene.aspire()
    scene.settle()
    assert scene.states() == {1: "END"}


def test_a_broken_version_leaves_the_old_one_in_service_and_is_tried_again_only_when_changed(scene):
    scene.aspire(1)
    scene.settle()
    (scene.folder(2) / "broken").touch()
    scene.aspire(2)
    scene.settle()
    assert scene.states() == {2: "END", 1: "AVAILABLE"}
    attempts = scene.events.count((2, "LOADING"))
    scene.aspire(2)
    scene.settle()
    assert scene.events.count((2, "LOADING")) == attempts == 1
    (scene.root / "2" / "broken").unlink()
    scene.aspire(2)
    scene.settle()
    assert scene.states() == {2: "AVAILABLE", 1: "END"}


def test_a_version_wanted_again_while_unloading_is_loaded_anew(scene):
    scene.aspire(1)
    scene.settle()
    with scene.repository.use(MODEL) as (_, first):
        scene.aspire()
        scene.settle()
        scene.aspire(1)
        scene.settle()
        assert scene.states() == {1: "UNLOADING"}
    scene.settle()
    scene.aspire(1)
    scene.settle()
    with scene.repository.use(MODEL) as (_, second):
        assert second is not first
        assert second.is_open


def test_a_version_no_longer_wanted_before_it_was_loaded_is_forgotten(scene):
    scene.aspire(1)
    scene.aspire()
    scene.settle()
    assert scene.states() == {}
    assert scene.events == [(1, "START")]


def test_labels_name_versions(scene):
    scene.repository.set_labels({MODEL: {"stable": 1}})
    assert scene.repository.labelled(MODEL, "stable") == 1
    for model, label in ((MODEL, "canary"), ("other", "stable")):
        with pytest.raises(Refusal, match=f"Unrecognized servable version label: {label}"):
            scene.repository.labelled(model, label)
