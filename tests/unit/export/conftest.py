# SPDX-License-Identifier: GPL-3.0-or-later
"""What the export's tests share: HTTP servers in place of the catalogues' services."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.unit.export.local_service import Answer, LocalService


@pytest.fixture
def serve() -> Iterator[Callable[..., LocalService]]:
    """Starts real HTTP servers on loopback, each with its answers."""
    with ExitStack() as stack:

        def start(*answers: Answer | Callable[..., Answer]) -> LocalService:
            return stack.enter_context(LocalService(answers))

        yield start
