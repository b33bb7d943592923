# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.tensor_strings import decode_strings, encode_strings


@given(values=st.lists(st.binary(max_size=300), max_size=5))
def test_strings_come_back(values):
    assert decode_strings(encode_strings(values), len(values)) == values


@given(content=st.binary(max_size=20), count=st.integers(0, 5))
def test_whatever_comes_is_strings_or_an_error(content, count):
    try:
        values = decode_strings(content, count)
    except ValueError:
        return
    assert len(values) == count
    assert sum(map(len, values)) <= len(content)


@pytest.mark.parametrize(
    ("content", "count"),
    [(b"", 1), (b"\x01", 1), (b"\x00\x00", 1), (b"\x80", 1), (b"\x01ab", 1), (b"\xff" * 8_000_000, 1)],
    ids=["nothing", "no text", "too much", "half a length", "more text", "an endless length"],
)
def test_what_does_not_fit_is_refused(content, count):
    with pytest.raises(ValueError, match=r"lengths"):
        decode_strings(content, count)
