# SPDX-License-Identifier: GPL-3.0-or-later
"""What the front counts of itself."""

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
CACHE_REQUESTS = Counter("orrery_front_cache_requests_total", "Requests that looked into the cache.", ["outcome"])
CACHE_HITS = CACHE_REQUESTS.labels("hit")
CACHE_SHARED_HITS = CACHE_REQUESTS.labels("shared_hit")
CACHE_MISSES = CACHE_REQUESTS.labels("miss")
ANSWERS = Counter("orrery_front_model_answers_total", "Calls to the model server that were answered.", ["version"])
