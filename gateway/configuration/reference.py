# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to know of each setting: name, default, unit, meaning."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo

from gateway.configuration.registry import MODULES, settings_of
from gateway.serving.environment import Settings, allowed, is_secret
from gateway.serving.settings import PROJECT_ROOT

SHARED: Final = "shared"

# By the end of a field's name.
_UNITS: Final = {"_s": "s", "_bytes": "bytes"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting.

    Attributes:
        variable: its name in the environment.
        default: as text; empty where it is unset.
        unit: its unit, or what kind of value it is.
        meaning: sentences, in Markdown.
        is_secret: its value must not be shown.
        kind: the class that reads it.
        field: its name there.
    """

    variable: str
    default: str
    unit: str
    meaning: str
    is_secret: bool
    kind: type[Settings]
    field: str


def sections() -> dict[str, list[Entry]]:
    """Every setting once: what several commands read under "shared", the rest by command."""
    by_command = {command: entries_of(settings_of(command)) for command in MODULES}
    readers: dict[str, int] = {}
    for entries in by_command.values():
        for entry in entries:
            readers[entry.variable] = readers.get(entry.variable, 0) + 1
    shared = {
        entry.variable: entry for entries in by_command.values() for entry in entries if readers[entry.variable] > 1
    }
    own = {
        command: [entry for entry in entries if readers[entry.variable] == 1] for command, entries in by_command.items()
    }
    return {SHARED: list(shared.values()), **own}


def entries_of(kinds: Iterable[type[Settings]]) -> list[Entry]:
    """Every setting of some classes, each variable once."""
    entries = {entry.variable: entry for kind in kinds for entry in _entries(kind)}
    return list(entries.values())


def _entries(kind: type[Settings]) -> Iterator[Entry]:
    for name, field in kind.model_fields.items():
        yield Entry(
            kind.variable(name),
            _default(field),
            _unit(name, field),
            field.description or "",
            is_secret(field),
            kind,
            name,
        )


def _extra(field: FieldInfo, key: str) -> str | None:
    extra = field.json_schema_extra
    value = extra.get(key) if isinstance(extra, dict) else None
    return None if value is None else str(value)


def _default(field: FieldInfo) -> str:
    stated = _extra(field, "default")
    return as_text(field.get_default()) if stated is None and not field.is_required() else stated or ""


def _unit(name: str, field: FieldInfo) -> str:
    by_name = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), None)
    return _extra(field, "unit") or by_name or allowed(field).removeprefix("a ")


def as_text(value: Any) -> str:
    """A value as it would be written in the environment; empty for None."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.12g}"
        case Path() if value.is_relative_to(PROJECT_ROOT):
            return str(value.relative_to(PROJECT_ROOT))
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)
