# SPDX-License-Identifier: GPL-3.0-or-later
"""What durable, checkable files need: their sum, and the word of the disk that they are there."""

import hashlib
import os
from pathlib import Path


def sha256(path: Path) -> str:
    """The hexadecimal sum of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
