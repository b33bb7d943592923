# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an orbit, said without any transport: callers map these to their own replies."""

from dataclasses import dataclass


class NeoError(ValueError):
    """The base of every refusal of this package."""


class ColumnShapeError(NeoError):
    """Columns of one table differ in length, or an array has the wrong number of axes."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One value that cannot be: its column (units in the name), its row, and what it should have been."""

    column: str
    row: int
    requirement: str

    def __str__(self) -> str:
        return f"{self.column}[{self.row}] {self.requirement}"


class _Violated(NeoError):
    """Some values cannot be.

    Attributes:
        violations: every violated column and row, in column order; never empty.
    """

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        self.violations = violations
        more = f" and {len(violations) - 1} more" if len(violations) > 1 else ""
        super().__init__(f"{violations[0]}{more}")


class InvalidOrbitError(_Violated):
    """Some rows are no orbits."""


class InvalidImpactError(_Violated):
    """Some numbers describe no impact; each stands in row 0 of a column of its own."""


class EpochOutOfRangeError(NeoError):
    """An epoch lies outside the span of the committed Earth table."""
