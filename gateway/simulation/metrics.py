# SPDX-License-Identifier: GPL-3.0-or-later
"""What the line before the workers looks like: simulation pods scale by it."""

from prometheus_client import Counter, Gauge, Histogram

QUEUE_LENGTH = Gauge("orrery_simulation_queue_length", "Jobs that wait for a worker.")
WAITING_REQUESTS = Gauge("orrery_simulation_waiting_requests", "Requests of which no job is running.")
QUEUE_SECONDS = Histogram(
    "orrery_simulation_queue_seconds",
    "How long a job waited for a turn.",
    buckets=(0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
SLICE_SECONDS = Histogram(
    "orrery_simulation_slice_seconds",
    "Processor time of a job's turn.",
    buckets=(0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 1, 2.5),
)
WORKERS = Gauge("orrery_simulation_workers", "Worker processes that are up.")
BUSY_WORKERS = Gauge("orrery_simulation_busy_workers", "Worker processes that have a job.")
REFUSED = Counter("orrery_simulation_refused_total", "Requests refused because too many wait already.")
