# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that may change while a pod runs: certificates, keys, tokens."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")

# How often the files are looked at, at most; a look costs a stat of each.
LOOK_PERIOD_S = 1.0

log = structlog.get_logger()


class Reloading(Generic[T]):
    """What some files say now.

    Files that cannot be read or understood, or that change while they are read, change nothing: the last good state
    stays, and the log says so once.
    """

    def __init__(self, paths: Sequence[Path], parse: Callable[..., T], *, look_period_s: float | None = None) -> None:
        """Read for the first time.

        Args:
            paths: the files, read together.
            parse: makes a value of their contents, one `bytes` each; raises ValueError or OSError on nonsense, without
                quoting the contents.
            look_period_s: between two looks at the files; LOOK_PERIOD_S unless given.

        Raises:
            OSError: a file cannot be read.
            ValueError: the contents make no sense.
        """
        self._paths = tuple(paths)
        self._parse = parse
        self._look_period_s = LOOK_PERIOD_S if look_period_s is None else look_period_s
        self._stamp = self._read_stamp()
        self._value = self._read()
        self._looked_s = time.monotonic()

    def current(self) -> T:
        """The value of the files as they are, at most a look period old."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= self._look_period_s:
            self._looked_s = now_s
            self._look()
        return self._value

    def _look(self) -> None:
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return
            value = self._read()
            if self._read_stamp() != stamp:
                return  # still being written: the next look sees the end of it
        except (OSError, ValueError) as error:
            log.error("files not reloaded, the last good ones stay", files=self._names(), error=str(error))  # noqa: TRY400  # a traceback would add nothing
            # Said once for each change.
            self._stamp = self._read_stamp(missing_ok=True)
            return
        self._stamp, self._value = stamp, value
        log.info("files reloaded", files=self._names())

    def _read(self) -> T:
        return self._parse(*(path.read_bytes() for path in self._paths))

    def _read_stamp(self, *, missing_ok: bool = False) -> tuple[tuple[int, int, int], ...]:
        stamps = []
        for path in self._paths:
            try:
                seen = path.stat()
            except OSError:
                if not missing_ok:
                    raise
                stamps.append((0, 0, 0))
            else:
                stamps.append((seen.st_mtime_ns, seen.st_size, seen.st_ino))
        return tuple(stamps)

    def _names(self) -> list[str]:
        return [str(path) for path in self._paths]
