# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that the front was measured with, and periods; no setting changes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """What tests may choose otherwise.

    Attributes:
        batches_under_way: calls to the model server at a time and model.
        batch_max_rows: objects merged into one of them. A larger request goes alone, for its own work outweighs what a
            call costs.
        column_part_rows: objects in a part of such a request; with `column_parts_under_way` it bounds the memory that a
            request takes.
        column_parts_under_way: parts that are worked on at a time.
        stream_messages_under_way: messages of one stream that are worked on at a time.
        stream_rows_under_way: and the objects in them.
        cache_fresh_s: for so long "the newest version" or a label is what the model server last answered.
        label_period_s: between two questions for the labels being served, while callers ask.
        health_period_s: between two looks at the backends' health.
    """

    batches_under_way: int = 2
    batch_max_rows: int = 256
    column_part_rows: int = 16_384
    column_parts_under_way: int = 4
    stream_messages_under_way: int = 64
    stream_rows_under_way: int = 200_000
    cache_fresh_s: float = 0.25
    label_period_s: float = 1.0
    health_period_s: float = 1.0


MEASURED = Tuning()
