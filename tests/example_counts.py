# SPDX-License-Identifier: GPL-3.0-or-later
"""How many examples a slow property test takes: a share of what the profile (`tests/conftest.py`) gives the others."""

from hypothesis import settings


def one_in(divisor: int, **others) -> settings:
    """Settings with one example where other tests take `divisor`; all else is the profile's, unless given."""
    return settings(max_examples=max(1, settings().max_examples // divisor), **others)
