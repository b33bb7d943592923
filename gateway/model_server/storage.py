# SPDX-License-Identifier: GPL-3.0-or-later
"""Version folders: which there are, which a policy wants, and whether one is whole.

Folder rules are file_system_storage_path_source.cc's of TensorFlow Serving; SHA256SUMS is ours.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.model_server.errors import data_loss, invalid, not_found
from gateway.serving.checksums import SUMS_FILE, NotWhole, check_sums

SAVED_MODEL = "saved_model.pb"
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which of the versions on disk to serve."""

    newest: int | None
    wanted: frozenset[int] | None

    @classmethod
    def latest(cls, num_versions: int) -> "VersionPolicy":
        """The highest version numbers; 0 means 1, as TensorFlow Serving has it."""
        return cls(newest=max(num_versions, 1), wanted=None)

    @classmethod
    def specific(cls, versions: Iterable[int]) -> "VersionPolicy":
        """These version numbers, where they exist."""
        return cls(newest=None, wanted=frozenset(versions))

    @classmethod
    def every(cls) -> "VersionPolicy":
        """Whatever there is."""
        return cls(newest=None, wanted=None)

    def select(self, versions: Collection[int]) -> set[int]:
        """Those of `versions` to serve."""
        if self.wanted is not None:
            return set(self.wanted.intersection(versions))
        if self.newest is not None:
            return set(sorted(versions)[-self.newest :])
        return set(versions)


def version_folders(base_path: Path) -> dict[int, Path]:
    """The version folders below a model's base path: those whose name is a number.

    Raises:
        Refusal: INVALID_ARGUMENT when the base path cannot be read.
    """
    try:
        children = sorted(base_path.iterdir())
    except OSError as error:
        raise invalid(f"Could not find base path {base_path}: {error.strerror}") from error
    # "007" is version 7; when "7" is there as well, the last one in order wins, as in TensorFlow Serving.
    named = {int(child.name): child for child in children if _is_number(child.name) and child.is_dir()}
    return {version: child for version, child in named.items() if version <= _INT64_MAX}


def check_whole(folder: Path) -> None:
    """Check that a version folder is all there.

    A folder with SHA256SUMS (lines as sha256sum writes them) must hold every file listed, unchanged, with the
    SavedModel itself among them.

    Raises:
        Refusal: NOT_FOUND without a SavedModel, DATA_LOSS when files are not those that were published.
    """
    if not (folder / SAVED_MODEL).is_file():
        raise not_found(f"Could not find SavedModel .pb at supplied export directory path: {folder}")
    try:
        listed = check_sums(folder)
    except FileNotFoundError:
        return
    except (NotWhole, OSError) as error:
        raise data_loss(str(error)) from error
    if SAVED_MODEL not in listed:
        raise data_loss(f"{SUMS_FILE} of {folder} does not list {SAVED_MODEL}")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
