# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network learns from and what it is judged by."""

from typing import Final

from export.data.catalogue import Catalogue
from export.data.dataset import (
    FIRST_YEAR_OF_TEST,
    SYNTHETIC_SEED,
    Labelled,
    Split,
    concatenate,
    flat_orbits,
    label,
    split_at_random,
    split_by_year,
)

_SPLIT_SEED: Final = 3
# Another population than the one that stands in for a missing catalogue, so that nothing is both learnt and judged.
_FLAT_SEED: Final = SYNTHETIC_SEED + 2


def judges(catalogue: Catalogue) -> Labelled:
    """The later objects, which no network learns from."""
    _, later = split_by_year(catalogue.objects, FIRST_YEAR_OF_TEST)
    return label(later, real=catalogue.provenance.kind != "synthetic")


def training_data(catalogue: Catalogue, synthetic_orbits: int) -> tuple[Split, Labelled]:
    """What to learn from: known earlier, and the flat population; and the later objects to be judged by."""
    real = catalogue.provenance.kind != "synthetic"
    earlier, _ = split_by_year(catalogue.objects, FIRST_YEAR_OF_TEST)
    flat = label(flat_orbits(synthetic_orbits, _FLAT_SEED), real=False)
    return split_at_random(concatenate(label(earlier, real=real), flat), _SPLIT_SEED), judges(catalogue)
