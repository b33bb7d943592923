# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that write to standard error while they are loaded, before any setting of theirs is read."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Keep what is written to file descriptor 2 aside; show it if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            with os.fdopen(os.dup(kept), "wb") as terminal:
                shutil.copyfileobj(aside, terminal)
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
