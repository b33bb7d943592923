# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions are wanted, which are loaded, and who is using them.

The states and the rule for loading and unloading are those of TensorFlow Serving (servable_state.h,
aspired_versions_manager.cc, availability_preserving_policy.cc), a little stricter: every wanted version is loaded
before any other is unloaded.

One thread calls `aspire`, `step` and `set_labels`; any thread may use the rest.
"""

import contextlib
import enum
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from gateway.model_server import storage
from gateway.model_server.errors import Refusal, invalid, not_found
from gateway.serving.checksums import fingerprint


class Servable(Protocol):
    """Something loaded that can be closed."""

    def close(self) -> None:
        """Free it; nobody is using it any more."""


ServableT = TypeVar("ServableT", bound=Servable)


class State(enum.IntEnum):
    """A version's state; the numbers are ModelVersionStatus.State's."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(slots=True, eq=False)
class Version(Generic[ServableT]):
    """One version of one model, from when it is first wanted on."""

    model: str
    number: int
    folder: Path
    state: State = State.START
    aspired: bool = True
    in_flight: int = 0
    servable: ServableT | None = None
    # Why it ended, unless it was merely unloaded.
    error: Refusal | None = None
    # The folder as it was when loading began: a broken version is tried again when this changes.
    fingerprint: frozenset[tuple[str, int, int]] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """A version's state at one moment."""

    number: int
    state: State
    error: Refusal | None


class Repository(Generic[ServableT]):
    """All versions of all models."""

    def __init__(
        self,
        load: Callable[[Path], ServableT],
        on_change: Callable[[str, VersionStatus], None],
        on_idle: Callable[[], None],
    ) -> None:
        """Start empty.

        Args:
            load: loads a version folder; raises Refusal.
            on_change: told of each new state, with the model's name, on the thread that changed it.
            on_idle: told when the last call in flight of an unloading version has ended.
        """
        self._load_servable = load
        self._on_change = on_change
        self._on_idle = on_idle
        self._lock = threading.Lock()
        self._models: dict[str, dict[int, Version[ServableT]]] = {}
        self._labels: Mapping[str, Mapping[str, int]] = {}

    def aspire(self, model: str, folders: Mapping[int, Path]) -> None:
        """Say which versions of a model are wanted from now on; `step` makes it so."""
        versions = self._models.get(model, {})
        fresh = {number for number, folder in folders.items() if _wants_start(versions.get(number), folder)}
        with self._lock:
            versions = self._models.setdefault(model, {})
            for number, version in list(versions.items()):
                version.aspired = number in folders
                if version.state is State.START and not version.aspired:
                    del versions[number]
            for number in fresh:
                versions[number] = Version(model, number, folders[number])
        for number in sorted(fresh):
            self._on_change(model, VersionStatus(number, State.START, None))

    def step(self) -> bool:
        """Do the next thing there is to do: load, unload or close one version. False when all is as wanted."""
        with self._lock:
            version = self._next()
        match version:
            case None:
                return False
            case Version(state=State.START):
                self._load(version)
            case Version(state=State.AVAILABLE):
                self._become(version, State.UNLOADING)
            case _:
                self._close(version)
        return True

    def set_labels(self, labels: Mapping[str, Mapping[str, int]]) -> None:
        """Replace all labels: version by label by model."""
        with self._lock:
            self._labels = labels

    def labelled(self, model: str, label: str) -> int:
        """The version that a label names.

        Raises:
            Refusal: INVALID_ARGUMENT for an unknown label.
        """
        with self._lock:
            number = self._labels.get(model, {}).get(label)
        if number is None:
            raise invalid(f"Unrecognized servable version label: {label}")
        return number

    @contextlib.contextmanager
    def use(self, model: str, number: int | None = None) -> Iterator[tuple[int, ServableT]]:
        """A version's number and servable; it stays loaded as long as the context is entered.

        Args:
            model: the model's name.
            number: the version; the highest one available when None.

        Raises:
            Refusal: NOT_FOUND when that version is not available.
        """
        with self._lock:
            version = self._available(model, number)
            if version is None or version.servable is None:
                wanted = f"Latest({model})" if number is None else f"Specific({model}, {number})"
                raise not_found(f"Servable not found for request: {wanted}")
            version.in_flight += 1
            servable = version.servable
        try:
            yield version.number, servable
        finally:
            with self._lock:
                version.in_flight -= 1
                idle = version.state is State.UNLOADING and not version.in_flight
            if idle:
                self._on_idle()

    def is_available(self, model: str, number: int | None = None) -> bool:
        """Whether a version can be used; any version when None."""
        with self._lock:
            return self._available(model, number) is not None

    def models(self) -> set[str]:
        """The names of all models ever wanted."""
        with self._lock:
            return set(self._models)

    def statuses(self, model: str) -> list[VersionStatus]:
        """Every version ever wanted of a model, highest first; empty for an unknown model."""
        with self._lock:
            versions = self._models.get(model, {})
            return [VersionStatus(number, v.state, v.error) for number, v in sorted(versions.items(), reverse=True)]

    def _available(self, model: str, number: int | None) -> Version[ServableT] | None:
        versions = self._models.get(model, {})
        if number is None:
            number = max((n for n, v in versions.items() if v.state is State.AVAILABLE), default=None)
        version = None if number is None else versions.get(number)
        return version if version is not None and version.state is State.AVAILABLE else None

    def _next(self) -> Version[ServableT] | None:
        for versions in self._models.values():
            ordered = [versions[number] for number in sorted(versions)]
            for version in ordered:
                if version.state is State.UNLOADING and not version.in_flight:
                    return version
            for version in reversed(ordered):
                if version.state is State.START and version.aspired:
                    return version
            aspired = [version for version in ordered if version.aspired]
            if not aspired or any(version.state is State.AVAILABLE for version in aspired):
                for version in ordered:
                    if version.state is State.AVAILABLE and not version.aspired:
                        return version
        return None

    def _load(self, version: Version[ServableT]) -> None:
        self._become(version, State.LOADING)
        version.fingerprint = fingerprint(version.folder)
        try:
            storage.check_whole(version.folder)
            version.servable = self._load_servable(version.folder)
        except Refusal as error:
            self._become(version, State.END, error)
        else:
            self._become(version, State.AVAILABLE)

    def _close(self, version: Version[ServableT]) -> None:
        if version.servable is not None:
            version.servable.close()
            version.servable = None
        self._become(version, State.END)

    def _become(self, version: Version[ServableT], state: State, error: Refusal | None = None) -> None:
        with self._lock:
            version.state, version.error = state, error
        self._on_change(version.model, VersionStatus(version.number, state, error))


def _wants_start(known: Version[ServableT] | None, folder: Path) -> bool:
    """Whether a wanted version has to begin anew: a new one, one wanted again, or a broken one that was changed."""
    if known is None:
        return True
    if known.state is not State.END:
        return False
    return known.error is None or not known.aspired or known.fingerprint != fingerprint(folder)
