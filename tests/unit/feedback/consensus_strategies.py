# SPDX-License-Identifier: GPL-3.0-or-later
"""Votes on one question, as hypothesis makes them up."""

from hypothesis import strategies as st

from gateway.feedback.consensus import FLOOR_WEIGHT, Vote

LABELS = (7, 8, 9, 10)

weights = st.floats(FLOOR_WEIGHT, 1.0)
labels = st.sampled_from(LABELS)


@st.composite
def ballots(draw, max_size=14):
    """First votes in the order in which they were kept."""
    drawn = draw(st.lists(st.tuples(labels, weights), max_size=max_size))
    return [Vote(number, label, weight) for number, (label, weight) in enumerate(drawn, 1)]


anonymous = st.dictionaries(labels, st.integers(1, 20_000))
