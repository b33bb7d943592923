# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front counts of the network and the exact rule side by side."""

import numpy as np
import pytest

from gateway.front import metrics


@pytest.mark.parametrize("times", [1, 100])
def test_verdicts_are_counted_in_four_cells_and_unknown_ones_in_none(times):
    cells = [(n, r) for n in ("harmless", "hazardous") for r in ("harmless", "hazardous")]
    before = [metrics.JUDGED.labels(*cell).value for cell in cells]
    network = np.array([0, 0, 1, 1, 1, 0, 1], bool)
    rule = np.array([0, 1, 0, 1, 1, 0, 0], bool)
    moid_au = np.array([1, 1, 1, 1, 1, 1, np.nan])
    metrics.count_judged(*(np.tile(column, times) for column in (network, rule, moid_au)))
    counted = [metrics.JUDGED.labels(*cell).value - b for cell, b in zip(cells, before, strict=True)]
    assert counted == [2 * times, times, times, 2 * times]
