# SPDX-License-Identifier: GPL-3.0-or-later
"""How long work says how far it is."""

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction of it that is done."""


def silent(what: str, fraction: float) -> None:
    """A progress display that shows nothing."""
