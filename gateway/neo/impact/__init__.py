# SPDX-License-Identifier: GPL-3.0-or-later
"""Impacts: the scales of their hazard, the bodies that hit, and what they do to Earth."""

from gateway.neo.impact.consequences import Consequences, assess
from gateway.neo.impact.ground import Rock
from gateway.neo.impact.impactor import Impactor, Quantiles, impactor_of
from gateway.neo.impact.scales import (
    background_frequency_per_year,
    cumulative_palermo_scale,
    palermo_scale,
    torino_scale,
)

__all__ = [
    "Consequences",
    "Impactor",
    "Quantiles",
    "Rock",
    "assess",
    "background_frequency_per_year",
    "cumulative_palermo_scale",
    "impactor_of",
    "palermo_scale",
    "torino_scale",
]
