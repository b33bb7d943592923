# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing a model: written beside, summed, made durable, then renamed into place; no version is ever overwritten.

A reader therefore sees a whole version or none (TensorFlow Serving loads half-copied folders: its issues 1086 and
1738). `SHA256SUMS` is what `sha256sum --check` reads. Renaming is atomic on one file system (POSIX rename).
"""

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final, TypeAlias

from export.errors import ExportError
from export.files import sha256, sync

SUMS_FILE: Final = "SHA256SUMS"
MANIFEST_FILE: Final = "manifest.json"
_STAGING_PREFIX: Final = ".staging-"
_ABANDONED_AFTER_S: Final = 24 * 3600.0

Check: TypeAlias = Callable[[Path], None]
"""Looks at a complete folder before it is published; raises `RefusedError` with what is wrong."""


class VersionExistsError(FileExistsError):
    """A version of that number is already published."""


class RefusedError(ExportError):
    """A candidate is not to be published; the text says what is wrong with it."""


class IntegrityError(ExportError):
    """A published folder is not what was published.

    Attributes:
        problems: what is wrong, one sentence a file.
    """

    def __init__(self, folder: Path, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"{folder}: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a published version says of itself; `details` holds the keys of one kind of model."""

    name: str
    version: int
    variant: str
    created_utc: str
    training_data: dict[str, Any]
    metrics: dict[str, Any]
    libraries: dict[str, str]
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """All keys on one level, indented, with a last newline."""
        content = asdict(self)
        return json.dumps({**content.pop("details"), **content}, indent=2, sort_keys=True, allow_nan=False) + "\n"


@dataclass(frozen=True, slots=True)
class Published:
    """One published version and what it was measured to do."""

    folder: Path
    manifest: Manifest


def created_utc() -> str:
    """The time for a manifest, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def libraries(*names: str) -> dict[str, str]:
    """The installed versions of distributions, for a manifest."""
    return {name: installed(name) for name in names}


def new_version(now: datetime | None = None) -> int:
    """A version number from the time: UTC yyyymmddHHMMSS."""
    return int((now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%d%H%M%S"))


def versions(store: Path, name: str) -> list[int]:
    """The published versions of a model, oldest first."""
    folder = store / name
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS_FILE)


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` for every file below a folder."""
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def verify(folder: Path) -> None:
    """Check a published folder against its sums.

    Raises:
        IntegrityError: a file is missing, changed or was never published, or the sums are missing or unreadable.
    """
    try:
        lines = (folder / SUMS_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(folder, [f"no readable {SUMS_FILE} ({error})"]) from error
    problems = []
    expected: dict[str, str] = {}
    for line in lines:
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or not name:
            problems.append(f"{SUMS_FILE} has a broken line {line!r}")
        else:
            expected[name] = digest
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    problems += [f"{name} is missing" for name in sorted(expected.keys() - present.keys())]
    problems += [f"{name} was never published" for name in sorted(present.keys() - expected.keys())]
    problems += [
        f"{name} has changed"
        for name in sorted(expected.keys() & present.keys())
        if sha256(present[name]) != expected[name]
    ]
    if not expected and not problems:
        problems.append(f"{SUMS_FILE} is empty")
    if problems:
        raise IntegrityError(folder, problems)


def sweep(folder: Path) -> list[str]:
    """Remove what killed publishers left beside the versions of a model, and say what.

    A leftover's name holds its publisher's machine and process: it goes when that process is dead on this machine, or
    whatever its publisher when it is a day old.
    """
    removed = []
    for leftover in sorted(folder.glob(f"{_STAGING_PREFIX}*")):
        machine, _, process = leftover.name.removeprefix(_STAGING_PREFIX).rpartition("-")[0].rpartition("-")
        dead = machine.endswith(f"-{socket.gethostname()}") and process.isdecimal() and not _is_alive(int(process))
        if dead or time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER_S:
            shutil.rmtree(leftover)
            removed.append(leftover.name)
    return removed


def remove_version(store: Path, name: str, version: int) -> None:
    """Take a version away, all of it at once for whoever looks; nothing happens where there is none."""
    folder = store / name / str(version)
    if not folder.exists():
        return
    going = folder.with_name(f"{_STAGING_PREFIX}{version}-{socket.gethostname()}-{os.getpid()}-going")
    folder.rename(going)
    shutil.rmtree(going)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def staged_version(store: Path, name: str, version: int, *, checks: Sequence[Check] = ()) -> Iterator[Path]:
    """Give an empty folder to write a version into; publish it when the block ends without an exception.

    The folder lies beside its destination under a name that no server takes for a version.

    Args:
        store: folder of all models.
        name: of the model.
        version: its number.
        checks: run in this order on the folder as it will be published, its `SHA256SUMS` included.

    Raises:
        RefusedError: a check refused the folder; nothing is published.
        VersionExistsError: the version is already there, before or after the block.
    """
    parent = store / name
    destination = parent / str(version)
    if destination.exists():
        raise VersionExistsError(f"{destination} is already published")
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    publisher = f"{_STAGING_PREFIX}{version}-{socket.gethostname()}-{os.getpid()}-"
    staging = Path(tempfile.mkdtemp(prefix=publisher, dir=parent))
    try:
        yield staging
        staging.chmod(0o755)
        write_sums(staging)
        for check in checks:
            check(staging)
        verify(staging)
        for path in sorted(staging.rglob("*"), reverse=True):
            sync(path)
        sync(staging)
        if destination.exists():
            raise VersionExistsError(f"{destination} is already published")
        try:
            staging.rename(destination)
        except OSError as error:
            # Another publisher was faster: rename refuses a destination that holds files.
            if destination.exists():
                raise VersionExistsError(f"{destination} is already published") from error
            raise
        sync(parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
