# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a command from starting."""


class CannotStart(Exception):
    """Why a command ends before it has begun: a sentence for each cause."""

    def __init__(self, *causes: str) -> None:
        super().__init__("\n".join(causes))
        self.causes = causes
