# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a message holds all of its bounds: yes or no, in a third of the time that naming what breaks them takes.

The tables of `gateway.serving.bounds` are compiled once a message type. A property test holds the answer against the
walker that names violations (`gateway.serving.validation`).
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.neo.domain import Interval
from gateway.serving.bounds import COUNTS, MAX_TEXT_CHARACTERS, NUMBERS, REQUIRED

_Test = Callable[[Any], bool]

# Up to here numpy costs more than it saves.
_FEW_VALUES: Final = 16

# By message class: what must hold of the whole, and of each field that is there, by its number: an interval, which
# needs no call, or a test.
_PLANS: Final[dict[type[Message], tuple[tuple[_Test, ...], dict[int, tuple[float, float]], dict[int, _Test]]]] = {}


def fits(message: Message) -> bool:
    """Whether `gateway.serving.validation.check` would find nothing."""
    plan = _PLANS.get(type(message))
    if plan is None:
        plan = _PLANS[type(message)] = _compiled(message.DESCRIPTOR)
    of_whole, intervals, of_fields = plan
    for test in of_whole:
        if not test(message):
            return False
    for field, value in message.ListFields():
        number = field.number
        if number in intervals:
            low, high = intervals[number]
            if not low <= value <= high:
                return False
        elif number in of_fields and not of_fields[number](value):
            return False
    return True


def _compiled(descriptor: Any) -> tuple[tuple[_Test, ...], dict[int, tuple[float, float]], dict[int, _Test]]:
    name = descriptor.name
    whole = [_is_there(descriptor, required) for required in REQUIRED.get(name, ())]
    whole += [_counted(field, low, high) for field, (low, high) in COUNTS.get(name, {}).items()]
    intervals = NUMBERS.get(name, {})
    single: dict[int, tuple[float, float]] = {}
    others: dict[int, _Test] = {}
    for field in descriptor.fields:
        interval = intervals.get(field.name)
        if interval is not None and not field.is_repeated:
            single[field.number] = (interval.low, interval.high)
        elif (test := _of_field(field, interval)) is not None:
            others[field.number] = test
    return tuple(whole), single, others


def _is_there(descriptor: Any, required: str) -> _Test:
    if required in descriptor.oneofs_by_name:
        return lambda message: message.WhichOneof(required) is not None
    if descriptor.fields_by_name[required].has_presence:
        return lambda message: bool(message.HasField(required))
    return lambda message: bool(getattr(message, required))


def _counted(field: str, low: int, high: int) -> _Test:
    return lambda message: low <= len(getattr(message, field)) <= high


def _of_field(field: FieldDescriptor, interval: Interval | None) -> _Test | None:
    single = _of_value(field, interval)
    if single is None or not field.is_repeated:
        return single
    if interval is None:
        return lambda values: all(map(single, values))

    def column(values: Any) -> bool:
        if len(values) <= _FEW_VALUES:
            return all(map(single, values))
        return bool(interval.holds(np.array(values, dtype=np.float64)).all())

    return column


def _of_value(field: FieldDescriptor, interval: Interval | None) -> _Test | None:
    if field.message_type is not None:
        return fits
    if interval is not None:
        low, high = interval.low, interval.high
        return lambda value: low <= value <= high
    if field.enum_type is not None:
        return frozenset(field.enum_type.values_by_number).__contains__
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda value: len(value) <= MAX_TEXT_CHARACTERS
    return None
