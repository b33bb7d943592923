# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models were published: a folder or a bucket; the one door to obstore."""

from collections.abc import Iterator
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from gateway.serving.checksums import NotWhole


class SourceUnavailable(Exception):
    """The place where models are published cannot be read."""


class Published:
    """Versions of models, and their files."""

    def __init__(self, source: str, max_file_bytes: int) -> None:
        """Nothing is read yet, but a folder must be there.

        Args:
            source: a folder, or a URL that obstore knows.
            max_file_bytes: larger files are refused.

        Raises:
            SourceUnavailable: there is no such folder, or the URL makes no sense.
        """
        self._source = source
        self._max_file_bytes = max_file_bytes
        try:
            self._store = from_url(source) if "://" in source else LocalStore(source)
        except (BaseError, OSError, ValueError) as error:
            raise SourceUnavailable(_in_short(error)) from error

    def versions(self, model: str) -> list[int]:
        """Published versions of a model, newest first; none where nothing is.

        Raises:
            SourceUnavailable: nobody can say.
        """
        try:
            found = obstore.list_with_delimiter(self._store, model)
        except (BaseError, OSError) as error:
            raise SourceUnavailable(_in_short(error)) from error
        names = (prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])
        return sorted((int(name) for name in names if name.isascii() and name.isdecimal()), reverse=True)

    def read(self, path: str) -> bytes:
        """A small file.

        Raises:
            NotWhole: it is not there, or is too large.
            SourceUnavailable: it cannot be read.
        """
        return b"".join(self._chunks(path))

    def download(self, path: str, target: Path) -> None:
        """A file of any size, into a file that is not there yet.

        Raises:
            NotWhole: it is not there, or is too large.
            SourceUnavailable: it cannot be read.
            OSError: it cannot be written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in self._chunks(path):
                file.write(chunk)

    def _chunks(self, path: str) -> Iterator[bytes]:
        try:
            reply = obstore.get(self._store, path)
            if reply.meta["size"] > self._max_file_bytes:
                raise NotWhole(f"{path} has {reply.meta['size']} bytes, more than {self._max_file_bytes}")
            for chunk in reply.stream():
                yield bytes(chunk)
        except FileNotFoundError as error:
            raise NotWhole(f"{path} is not in {self._source}") from error
        except (BaseError, OSError) as error:
            raise SourceUnavailable(_in_short(error)) from error


def _in_short(error: Exception) -> str:
    """The first line: obstore appends the error's insides."""
    return str(error).partition("\n")[0]
