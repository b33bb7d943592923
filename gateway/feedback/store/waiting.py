# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a database that cannot be reached yet."""

import sys
import time
from typing import Final

from sqlalchemy import text

from gateway.feedback.store.database import Database, StoreUnavailable

_PAUSE_S: Final = 1.0


def await_database(database: Database, within_s: float) -> None:
    """Return when a database answers.

    A network policy takes some seconds to know a new pod, and a database may be restarting.

    Args:
        database: to be asked, once a second; an embedded one is a file, which is there or not.
        within_s: how long at most; 0 asks once.

    Raises:
        StoreUnavailable: it did not answer in time.
    """
    if database.embedded:
        return
    until = time.monotonic() + within_s
    while True:
        try:
            with database.reading() as connection:
                connection.execute(text("SELECT 1"))
        except StoreUnavailable as error:
            if time.monotonic() + _PAUSE_S > until:
                raise
            sys.stderr.write(f"the database does not answer yet: {error.cause}\n")
            time.sleep(_PAUSE_S)
        else:
            return
