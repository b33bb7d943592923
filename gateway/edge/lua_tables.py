# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract as a Lua table, for the filters in serving_config/envoy/lua: paths, and the fields of every message."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.edge.rest import RestMethod

_KINDS: Final = {
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_FLOAT: "number",
    FieldDescriptor.CPPTYPE_INT32: "whole",
    FieldDescriptor.CPPTYPE_INT64: "whole",
    FieldDescriptor.CPPTYPE_UINT32: "whole",
    FieldDescriptor.CPPTYPE_UINT64: "whole",
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_ENUM: "enum",
    FieldDescriptor.CPPTYPE_MESSAGE: "message",
}
_WHOLE: Final = {
    FieldDescriptor.CPPTYPE_INT32: "int32",
    FieldDescriptor.CPPTYPE_INT64: "int64",
    FieldDescriptor.CPPTYPE_UINT32: "uint32",
    FieldDescriptor.CPPTYPE_UINT64: "uint64",
}


def lua_tables(methods: Iterable[RestMethod], max_body_bytes: int) -> str:
    """The statement `local schema = {...}` that the filters begin with.

    Args:
        methods: at the edge.
        max_body_bytes: of a request.
    """
    paths: dict[str, dict[str, Any]] = {}
    patterns: dict[str, dict[str, Any]] = {}
    messages: dict[str, dict[str, Any]] = {}
    for rest in methods:
        entry: dict[str, Any] = {"stream": rest.streams}
        if rest.body is not None:
            entry["message"] = rest.body.name
            _add_message(rest.body, messages)
        if rest.in_query:
            entry["in_query"] = True
        table, key = (patterns, _lua_pattern(rest)) if rest.variables else (paths, rest.path)
        table.setdefault(key, {})[rest.verb] = entry
    schema = {
        "paths": paths,
        "patterns": [[pattern, verbs] for pattern, verbs in patterns.items()],
        "messages": messages,
        "max_body_bytes": max_body_bytes,
    }
    return f"local schema = {to_lua(schema)}\n"


def to_lua(value: Any) -> str:
    """A Lua expression for text, numbers, booleans, lists and mappings with text as keys."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"[{to_lua(key)}]={to_lua(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(to_lua, value)) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _lua_pattern(rest: RestMethod) -> str:
    parts = rest.path.split("/")
    escaped = ("[^/]+" if part.startswith("{") else part.replace("-", "%-").replace(".", "%.") for part in parts)
    return "^" + "/".join(escaped) + "$"


def _add_message(message: Descriptor, messages: dict[str, dict[str, Any]]) -> None:
    if message.name in messages:
        return
    fields: dict[str, Any] = {}
    messages[message.name] = fields
    for field in message.fields:
        entry = _field(field)
        fields[field.name] = fields[field.json_name] = entry
        if field.message_type is not None and not _has_its_own_json(field.message_type):
            entries = field.message_type.GetOptions().map_entry
            held = field.message_type.fields_by_name["value"].message_type if entries else field.message_type
            if held is not None:
                _add_message(held, messages)


def _field(field: FieldDescriptor) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": field.name, "kind": _KINDS[field.cpp_type]}
    held = field.message_type
    if held is not None and held.GetOptions().map_entry:
        return entry | {"kind": "map", "value": _field(held.fields_by_name["value"])}
    if field.is_repeated:
        entry["repeated"] = True
    if held is not None:
        entry |= {"kind": "any"} if _has_its_own_json(held) else {"of": held.name}
    elif field.enum_type is not None:
        names = [value.name for value in field.enum_type.values]
        choices = ", ".join(name for name, number in zip(names, field.enum_type.values, strict=True) if number.number)
        entry |= {"of": field.enum_type.name, "values": dict.fromkeys(names, True), "choices": choices}
    elif field.cpp_type in _WHOLE:
        entry["of"] = _WHOLE[field.cpp_type]
    # An `optional` field is alone in a oneof that nobody wrote, of its own name with "_" before it.
    if (oneof := field.containing_oneof) is not None and len(oneof.fields) > 1:
        entry["oneof"] = oneof.name
    return entry


def _has_its_own_json(message: Descriptor) -> bool:
    return bool(message.file.package == "google.protobuf")
