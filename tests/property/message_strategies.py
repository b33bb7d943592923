# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of any type, mostly within their bounds, with mistakes strewn in."""

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st

from gateway.serving.bounds import COUNTS, MAX_TEXT_CHARACTERS, NUMBERS

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_FLOATING = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


@st.composite
def messages(draw, message_class, clean=False):
    """A message; `clean` keeps every single value within its bounds."""
    made = message_class()
    for field in message_class.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1 and made.WhichOneof(oneof.name):
            continue
        if not draw(st.integers(0, 7)):
            continue
        if field.is_repeated:
            for _ in range(_count(draw, message_class.DESCRIPTOR.name, field, clean)):
                _append(draw, made, field, clean)
        elif field.message_type is not None:
            nested = type(getattr(made, field.name))
            getattr(made, field.name).CopyFrom(draw(messages(nested, clean)))
        else:
            setattr(made, field.name, draw(_values(message_class.DESCRIPTOR.name, field, clean)))
    return made


def _count(draw, owner, field, clean):
    low, high = COUNTS.get(owner, {}).get(field.name, (0, 3))
    most = min(high, low + 2)
    return draw(st.integers(low, most) if clean else st.integers(max(0, low - 1), most))


def _append(draw, made, field, clean):
    column = getattr(made, field.name)
    if field.message_type is not None:
        nested = type(column.add())
        column[-1].CopyFrom(draw(messages(nested, clean)))
    else:
        column.append(draw(_values(type(made).DESCRIPTOR.name, field, clean)))


def _values(owner, field, clean):
    interval = NUMBERS.get(owner, {}).get(field.name)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.enum_type is not None:
        known = st.sampled_from(sorted(field.enum_type.values_by_number))
        return known if clean else st.one_of(known, known, known, st.integers(-3, 99))
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.text(max_size=MAX_TEXT_CHARACTERS if clean else MAX_TEXT_CHARACTERS + 3)
    if field.cpp_type in _FLOATING:
        anything = st.floats(width=64 if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else 32)
        inside = st.floats(interval.low, interval.high) if interval else anything
        return inside if clean else st.one_of(inside, inside, inside, anything)
    low, high = _INTEGERS[field.cpp_type]
    anything = st.integers(low, high)
    inside = st.integers(max(low, int(interval.low)), min(high, int(interval.high))) if interval else anything
    return inside if clean else st.one_of(inside, inside, inside, anything)
