# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that nothing reads is a mistake, perhaps in a setting that protects: nothing starts with one."""

import difflib
from collections.abc import Mapping

from gateway.configuration.registry import PREFIX, is_foreign, known_variables
from gateway.serving.starting import CannotStart


class UnknownSettings(CannotStart):
    """Environment variables that begin as settings do and are none."""


def require_known(environment: Mapping[str, str]) -> None:
    """Check that every variable that begins as settings do is one.

    Raises:
        UnknownSettings: a sentence for each that is none, with the setting whose name is nearest.
    """
    given = {name: value for name, value in environment.items() if name.upper().startswith(PREFIX)}
    if not given:
        return
    known = known_variables()
    causes = [
        f"{name} is not a setting; the nearest one is {_nearest(name.upper(), known)}"
        for name, value in sorted(given.items())
        if name.upper() not in known and not is_foreign(name.upper(), value)
    ]
    if causes:
        raise UnknownSettings(*causes)


def _nearest(name: str, known: set[str]) -> str:
    return difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]
