# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pod counts beside what every pod counts."""

from prometheus_client import Counter, Gauge, Histogram

VOTES = Counter(
    "orrery_feedback_votes_total", "Votes acknowledged: first, later or anonymous ones, or repeated requests.", ["kind"]
)
REFUSED = Counter("orrery_feedback_refused_total", "Votes refused, by published reason.", ["reason"])
COMMIT_SECONDS = Histogram(
    "orrery_feedback_commit_seconds",
    "Time of a transaction, from its begin until it was on disk.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
COMMIT_WORKS = Histogram(
    "orrery_feedback_commit_votes", "Votes and erasures in one transaction.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
WAITING = Gauge("orrery_feedback_waiting", "Votes that wait for the writing thread.")
STORE_BYTES = Gauge("orrery_feedback_store_bytes", "Size of the database.")
STORE_UP = Gauge("orrery_feedback_store_up", "1 while the store answers.")
