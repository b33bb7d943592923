# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 0: whether what comes in is still distributed as what a model learnt from. Pure numpy; docs/retraining.md."""

from gateway.drift.reference import Reference
from gateway.drift.verdict import Verdict, judge

__all__ = ["Reference", "Verdict", "judge"]
