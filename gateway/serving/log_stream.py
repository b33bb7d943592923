# SPDX-License-Identifier: GPL-3.0-or-later
"""Where log lines go: a stream whose writing neither fails nor waits, whatever becomes of its other end."""

import os
import select
import threading
from typing import Final, TextIO

from prometheus_client import Counter

LOST_LINES = Counter(
    "orrery_log_lines_lost_total",
    "Log lines that could not be written: the disk was full, the pipe closed, or nobody read it.",
)
# A pipe that can be written to has room for so much, and takes it whole (pipe(7)).
_AT_ONCE: Final = select.PIPE_BUF


class LogStream:
    """Writes to a file, terminal or pipe; a line that it does not take is lost, and counted."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream's file, where it has one (tests put others in place of standard error)."""
        self._stream = stream
        self._lock = threading.Lock()
        self._poll = select.poll()
        try:
            self._file = stream.fileno()
        except (OSError, ValueError):
            self._file = -1
        else:
            self._poll.register(self._file, select.POLLOUT)

    def write(self, text: str) -> int:
        """Write a line or several, or lose them."""
        try:
            if self._file < 0:
                self._stream.write(text)
            else:
                self._write(text.encode("utf-8", "backslashreplace"))
        except (OSError, ValueError):
            LOST_LINES.inc()
        return len(text)

    def flush(self) -> None:
        """Do nothing: each line is written at once."""

    def _write(self, content: bytes) -> None:
        with self._lock:
            while content:
                if not self._poll.poll(0):
                    raise BlockingIOError
                content = content[os.write(self._file, content[:_AT_ONCE]) :]
