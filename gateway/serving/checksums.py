# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a model folder is what was published, and whether it has changed since it was looked at.

SHA256SUMS is in the format of `sha256sum --check`.
"""

import hashlib
import os
from pathlib import Path, PurePosixPath

SUMS_FILE = "SHA256SUMS"


class NotWhole(Exception):
    """A model folder is not what was published."""


def check_sums(folder: Path) -> frozenset[str]:
    """Hold every listed file against its sum.

    Args:
        folder: of one model version.

    Returns:
        The names listed, relative to the folder.

    Raises:
        FileNotFoundError: there is no list.
        NotWhole: the list cannot be read, or a file is missing, changed, or outside the folder.
    """
    listed = read_sums((folder / SUMS_FILE).read_bytes(), str(folder))
    root = folder.resolve()
    for name, digest in listed.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(root):
            raise NotWhole(f"{SUMS_FILE} of {folder} lists {name}, which is outside")
        try:
            with path.open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise NotWhole(f"{name} of {folder} cannot be read: {error.strerror}") from error
        if actual != digest:
            raise NotWhole(f"{name} of {folder} is not the file that was published")
    return frozenset(listed)


def read_sums(content: bytes, folder: str) -> dict[str, str]:
    """The digests of a SHA256SUMS file, by the names of files relative to its folder.

    Args:
        content: of the file.
        folder: whose it is, for the error's text.

    Raises:
        NotWhole: it cannot be read, or names a file outside its folder.
    """
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise NotWhole(f"{SUMS_FILE} of {folder} cannot be read: it is not text") from error
    listed: dict[str, str] = {}
    for line in lines:
        digest, separator, name = line.partition("  ")
        if len(digest) != 64 or not separator or not name:
            raise NotWhole(f"{SUMS_FILE} of {folder} has a broken line")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise NotWhole(f"{SUMS_FILE} of {folder} lists {name}, which is outside")
        listed[str(path)] = digest.lower()
    return listed


def fingerprint(folder: Path) -> frozenset[tuple[str, int, int]]:
    """What a folder's files look like from outside: name, size in bytes, time of change in ns."""
    seen = set()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                stat = path.stat()
            except OSError:
                continue  # it vanished while we looked, which is a change like any other
            seen.add((str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns))
    return frozenset(seen)
