# SPDX-License-Identifier: GPL-3.0-or-later
"""The store's clock. Nothing depends on it going forward: order is that of the votes' ids."""

import time


def now_unix_us() -> int:
    """Microseconds since 1970-01-01T00:00Z."""
    return time.time_ns() // 1_000
