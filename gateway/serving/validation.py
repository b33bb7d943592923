# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests against their bounds: every violated field by its path, all at once.

`check` holds any message of ours, nested ones included, against the tables of `gateway.serving.bounds`; rules that
join fields live with what reads them (`gateway.serving.orbits`, the simulation's scenario).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from numpy.typing import NDArray

from gateway.neo.domain import Interval
from gateway.serving.bounds import COUNTS, MAX_TEXT_CHARACTERS, NUMBERS, REQUIRED, TEXTS
from gateway.serving.errors import FieldViolation, InvalidRequest
from gateway.serving.fitting import fits

# A caller needs the pattern of its mistake, not 100,000 lines of it.
MAX_NAMED_VIOLATIONS = 100
# Refusals travel as metadata, of which gRPC takes 8 KiB for sure, base64 included.
MAX_NAMED_CHARACTERS = 4_000

_NO_INTERVALS: Mapping[str, Interval] = {}
_NO_COUNTS: Mapping[str, tuple[int, int]] = {}
_NO_TEXTS: Mapping[str, int] = {}


class Violations:
    """Collects violated fields: names the first 100, or as many as 4,000 characters hold, and counts the rest."""

    def __init__(self) -> None:
        self._named: list[FieldViolation] = []
        self._count = self._characters = 0

    def __len__(self) -> int:
        return self._count

    def add(self, path: str, description: str) -> None:
        """Note that the field at a path breaks its bounds.

        Args:
            path: as in `objects[3].elements.eccentricity`.
            description: what the field should have been.
        """
        self._count += 1
        self._characters += len(path) + len(description)
        if not self._named or (len(self._named) < MAX_NAMED_VIOLATIONS and self._characters <= MAX_NAMED_CHARACTERS):
            self._named.append(FieldViolation(path, description))

    def add_rows(self, path: str, broken: NDArray[np.bool_], describe: Callable[[int], str]) -> None:
        """Note that some rows of a column break its bounds; describes no more of them than can be named.

        Args:
            path: of the column.
            broken: (N,) which rows do.
            describe: what a row should have been.
        """
        rows = np.flatnonzero(broken)
        for row in rows[:MAX_NAMED_VIOLATIONS].tolist():
            self.add(f"{path}[{row}]", describe(row))
        self._count += len(rows[MAX_NAMED_VIOLATIONS:])

    def add_missing(self, path: str, oneof: Any) -> None:
        """Note that no member of a oneof is given: by its first member, since a oneof's own name is no field.

        Args:
            path: of the message that has the oneof; empty for the request itself.
            oneof: its descriptor; one of its members is required.
        """
        first, *others = (field.name for field in oneof.fields)
        either = "" if not others else f", or {others[0]}" if len(others) == 1 else f", or one of {', '.join(others)}"
        self.add(f"{path}.{first}" if path else first, f"is required{either}")

    def raise_if_any(self) -> None:
        """Refuse the request if anything was noted.

        Raises:
            InvalidRequest: naming the fields.
        """
        if not self._named:
            return
        raise InvalidRequest(self._named, unnamed=self._count - len(self._named))


def check(message: Message, violations: Violations, path: str = "") -> None:
    """Hold a message and all within it against the tables of bounds.

    Args:
        message: a request, or a part of one.
        violations: where violated fields are noted.
        path: of the message within the request; empty for the request itself.
    """
    if not fits(message):
        name_violations(message, violations, path)


def name_violations(message: Message, violations: Violations, path: str) -> None:
    """What `check` does once it knows that something is wrong; see there."""
    name = message.DESCRIPTOR.name
    prefix = f"{path}." if path else ""
    intervals = NUMBERS.get(name, _NO_INTERVALS)
    counts = COUNTS.get(name, _NO_COUNTS)
    _check_required(message, violations, prefix)
    _check_counts(message, counts, violations, prefix)
    for field, value in message.ListFields():
        field_path = prefix + field.name
        if field.is_repeated:
            low, high = counts.get(field.name, (0, 0))
            if field.name not in counts or low <= len(value) <= high:
                _check_repeated(field, value, intervals, violations, field_path)
        else:
            _check_single(field, value, intervals, violations, field_path)


def _check_required(message: Message, violations: Violations, prefix: str) -> None:
    descriptor = message.DESCRIPTOR
    for required in REQUIRED.get(descriptor.name, ()):
        if oneof := descriptor.oneofs_by_name.get(required):
            if message.WhichOneof(required) is None:
                violations.add_missing(prefix.removesuffix("."), oneof)
        elif descriptor.fields_by_name[required].has_presence:
            if not message.HasField(required):
                violations.add(prefix + required, "is required")
        elif not getattr(message, required):
            text = descriptor.fields_by_name[required].type == FieldDescriptor.TYPE_STRING
            violations.add(prefix + required, "is required" if text else "is required and not 0")


def _check_counts(message: Message, counts: Mapping[str, tuple[int, int]], violations: Violations, prefix: str) -> None:
    for name, (low, high) in counts.items():
        count = len(getattr(message, name))
        if not low <= count <= high:
            violations.add(prefix + name, f"must hold {low} to {high:,} values, not {count:,}")


def _check_single(
    field: FieldDescriptor, value: Any, intervals: Mapping[str, Interval], violations: Violations, path: str
) -> None:
    if field.message_type is not None:
        name_violations(value, violations, path)
    elif interval := intervals.get(field.name):
        _check_number(value, interval, violations, path)
    elif field.enum_type is not None:
        if value not in field.enum_type.values_by_number:
            violations.add(path, f"{value} is no value of {field.enum_type.name}")
    elif field.type == FieldDescriptor.TYPE_STRING:
        owner = field.containing_type
        most = TEXTS.get(owner.name if owner else "", _NO_TEXTS).get(field.name, MAX_TEXT_CHARACTERS)
        if len(value) > most:
            violations.add(path, f"must hold at most {most:,} characters, not {len(value):,}")


def _check_repeated(
    field: FieldDescriptor,
    values: Sequence[Any],
    intervals: Mapping[str, Interval],
    violations: Violations,
    path: str,
) -> None:
    if interval := intervals.get(field.name):
        column = np.array(values, dtype=np.float64)
        violations.add_rows(path, ~interval.holds(column), lambda row: _complaint(column[row].item(), interval))
        return
    for row, value in enumerate(values):
        _check_single(field, value, intervals, violations, f"{path}[{row}]")


def _check_number(value: float, interval: Interval, violations: Violations, path: str) -> None:
    if not interval.low <= value <= interval.high:
        violations.add(path, _complaint(value, interval))


def _complaint(value: float, interval: Interval) -> str:
    return f"must be in [{interval.low:.10g}, {interval.high:.10g}], not {float(value)!r}"
