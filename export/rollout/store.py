# SPDX-License-Identifier: GPL-3.0-or-later
"""Challengers and retired versions beside the served ones, and the lock that keeps two steps apart."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from export.publishing import publish
from export.rollout.config import RolloutError

CHALLENGERS: Final = "challengers"
RETIRED: Final = "retired"


def newest_challenger(store: Path, name: str, champion: int | None = None) -> Path:
    """The folder of the newest challenger of a model.

    Args:
        store: of published models.
        name: of the model.
        champion: what is newer than this and in the store already is a challenger too: a step that was killed left it
            there, or somebody published past this way.

    Raises:
        RolloutError: there is none, or it is not what was published.
    """
    waiting = dict.fromkeys(publish.versions(store / CHALLENGERS, name), store / CHALLENGERS)
    if champion is not None:
        waiting |= {version: store for version in publish.versions(store, name) if version > champion}
    if not waiting:
        raise RolloutError(
            f"no challenger of {name} waits in {store / CHALLENGERS}: `python -m export retrain` makes one"
        )
    newest = max(waiting)
    folder = waiting[newest] / name / str(newest)
    try:
        publish.verify(folder)
    except publish.IntegrityError as error:
        raise RolloutError(f"the challenger is not whole: {error}") from error
    return folder


def promote_forest(store: Path, name: str) -> int:
    """Move the newest challenger to where anomaly pods look: they serve the newest version there is; says its number.

    Raises:
        RolloutError: there is none, or it is not what was published.
    """
    folder = newest_challenger(store, name)
    (store / name).mkdir(exist_ok=True)
    folder.rename(store / name / folder.name)
    return int(folder.name)


def roll_back_forest(store: Path, name: str) -> str:
    """Take the newest version out of the pods' sight; the one before, which they have loaded, answers. Says which.

    Raises:
        RolloutError: it is the only one.
    """
    published = publish.versions(store, name)
    if len(published) < 2:
        raise RolloutError(
            f"nothing to roll back to: {', '.join(map(str, published)) or 'none'} is all there is of {name}"
        )
    newest, before = published[-1], published[-2]
    try:
        publish.verify(store / name / str(before))
    except publish.IntegrityError as error:
        raise RolloutError(f"the version before is not whole, nothing has changed: {error}") from error
    retire(store, name, newest)
    return f"{before} answers everybody again; {newest} lies in {store / RETIRED / name}"


def retire(store: Path, name: str, version: int) -> None:
    """Move a version to where no server looks; it is kept."""
    retired = store / RETIRED / name
    retired.mkdir(parents=True, exist_ok=True)
    (store / name / str(version)).rename(retired / str(version))


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Make the only step of this store while entered.

    Raises:
        RolloutError: another step is being made.
    """
    store.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store / ".rollout-lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RolloutError("another step of a rollout is being made: wait for it, or end its process") from error
        yield
    finally:
        os.close(descriptor)
