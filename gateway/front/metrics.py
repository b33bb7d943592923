# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front counts of itself."""

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Histogram

BATCH_ROWS = Histogram(
    "orrery_front_batch_rows",
    "Objects in one call to the model server.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384),
)
BATCH_CALLS = Histogram(
    "orrery_front_batch_calls",
    "Callers merged into one call to the model server.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
QUEUE_SECONDS = Histogram(
    "orrery_front_queue_seconds",
    "Time that a caller's objects waited for a call to the model server to begin.",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
)
# Where the network and the definition part, the network has drifted or the sky has: the definition is exact.
JUDGED = Counter(
    "orrery_front_judged_total",
    "Objects by what the network and what the exact rule say of them.",
    ["network", "rule"],
)
_VERDICTS = ("harmless", "hazardous")
_JUDGED = [[JUDGED.labels(network, rule) for rule in _VERDICTS] for network in _VERDICTS]

CACHE_REQUESTS = Counter("orrery_front_cache_requests_total", "Requests that looked into the cache.", ["outcome"])
CACHE_HITS = CACHE_REQUESTS.labels("hit")
CACHE_MISSES = CACHE_REQUESTS.labels("miss")


def count_judged(network: NDArray[np.bool_], rule: NDArray[np.bool_], moid_au: NDArray[np.float64]) -> None:
    """Count verdicts; objects without a MOID have none by the rule.

    Args:
        network: (N,).
        rule: (N,).
        moid_au: (N,), NaN where it is unknown.
    """
    known = ~np.isnan(moid_au)
    cells = np.bincount((2 * network[known] + rule[known]).astype(np.intp), minlength=4)
    for cell, count in enumerate(cells.tolist()):
        if count:
            _JUDGED[cell // 2][cell % 2].inc(count)
