# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front counts of itself."""

from math import isnan

import numpy as np
from numpy.typing import NDArray

from gateway.serving.loop_metrics import Counter, Gauge, Histogram

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
# Up to here numpy costs more than it saves.
_FEW = 64
_VERDICTS = ("harmless", "hazardous")
_JUDGED = [[JUDGED.labels(network, rule) for rule in _VERDICTS] for network in _VERDICTS]

CACHE_REQUESTS = Counter("orrery_front_cache_requests_total", "Requests that looked into the cache.", ["outcome"])
CACHE_HITS = CACHE_REQUESTS.labels("hit")
CACHE_SHARED_HITS = CACHE_REQUESTS.labels("shared_hit")
CACHE_MISSES = CACHE_REQUESTS.labels("miss")
ANSWERS = Counter("orrery_front_model_answers_total", "Calls to the model server that were answered.", ["version"])

ARM_CALLS = Counter(
    "orrery_front_arm_calls_total",
    "Requests without a version or label that were answered, by the way they went.",
    ["arm"],
)
FALLBACKS = Counter(
    "orrery_front_label_fallbacks_total", "Requests whose label had just gone, which the next way answered.", ["arm"]
)
UNUSABLE = Counter(
    "orrery_front_model_unusable_total",
    "Calls whose version broke its signature's promise, and which another version answered if it could.",
    ["arm"],
)
LABEL_VERSION = Gauge(
    "orrery_front_label_version", "The version of a label; 0 where it is not being served.", ["label"]
)
SHADOW_OBJECTS = Counter(
    "orrery_front_shadow_objects_total", "Objects that a challenger was asked about.", ["challenger"]
)
SHADOW_DISAGREEMENTS = Counter(
    "orrery_front_shadow_disagreements_total",
    "Objects of which a challenger said otherwise than the version that answered.",
    ["challenger", "output"],
)
SHADOW_DIFFERENCE = Histogram(
    "orrery_front_shadow_probability_difference",
    "How far a challenger's probability of hazard is from the one that was answered.",
    buckets=(1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.5, 1),
)
SHADOW_SECONDS = Histogram(
    "orrery_front_shadow_seconds",
    "Time of a call to the challenger.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
SHADOW_FAILED = Counter(
    "orrery_front_shadow_failed_total", "Calls to the challenger without a usable answer.", ["error"]
)
SHADOW_LEFT_OUT = Counter(
    "orrery_front_shadow_left_out_total", "Calls to the challenger that would have been too many."
)


def count_judged(network: NDArray[np.bool_], rule: NDArray[np.bool_], moid_au: NDArray[np.float64]) -> None:
    """Count verdicts; objects without a MOID have none by the rule.

    Args:
        network: (N,).
        rule: (N,).
        moid_au: (N,), NaN where it is unknown.
    """
    if len(moid_au) <= _FEW:
        for by_network, by_rule, moid in zip(network.tolist(), rule.tolist(), moid_au.tolist(), strict=True):
            if not isnan(moid):
                _JUDGED[by_network][by_rule].value += 1
        return
    known = ~np.isnan(moid_au)
    cells = np.bincount((2 * network[known] + rule[known]).astype(np.intp), minlength=4)
    for cell, count in enumerate(cells.tolist()):
        _JUDGED[cell // 2][cell % 2].inc(count)
