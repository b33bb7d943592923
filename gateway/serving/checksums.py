# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a published model folder is what was published: its SHA256SUMS, in the format of `sha256sum --check`."""

import hashlib
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
