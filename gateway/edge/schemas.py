# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON Schema (2020-12) of the contract's messages, with the bounds that servers enforce (gateway.serving.bounds)."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.serving.bounds import COUNTS, MAX_TEXT_CHARACTERS, NUMBERS, REQUIRED, TEXTS

Schema: TypeAlias = dict[str, Any]

# ProtoJSON writes 64-bit integers as text, and takes both.
_INT64: Final[Schema] = {"type": ["string", "integer"], "format": "int64"}
_SCALARS: Final[Mapping[int, Schema]] = {
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.CPPTYPE_INT64: _INT64,
    FieldDescriptor.CPPTYPE_UINT64: _INT64,
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
# Messages of google.protobuf have a JSON form of their own.
_WELL_KNOWN: Final[Mapping[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$"},
    "google.protobuf.Empty": {"type": "object"},
}


class Schemas:
    """Schemas of messages and enums, gathered as they are referred to.

    A message of requests is closed (unknown fields are refused) and bounded; the same message in a reply is neither,
    and then has a schema of its own, with "Reply" after its name.
    """

    def __init__(self, comments: Mapping[str, str], in_requests: frozenset[str]) -> None:
        """Begin with none.

        Args:
            comments: by full name.
            in_requests: full names of the messages that requests are made of.
        """
        self.components: dict[str, Schema] = {}
        self._comments = comments
        self._in_requests = in_requests

    def of_message(self, message: Descriptor, *, reply: bool) -> Schema:
        """A reference to the schema of a message, which is made if it is not there."""
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        if message.file.package == "google.protobuf":
            return {}
        twin = reply and message.full_name in self._in_requests
        name = f"{message.name}Reply" if twin else message.name
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self._message(message, reply=reply)
        return {"$ref": f"#/components/schemas/{name}"}

    def _message(self, message: Descriptor, *, reply: bool) -> Schema:
        schema: Schema = {"type": "object"}
        if text := self._comments.get(message.full_name):
            schema["description"] = text
        schema["properties"] = {field.name: self.of_field(field, reply=reply) for field in message.fields}
        if reply:
            return schema
        schema["additionalProperties"] = False
        required = REQUIRED.get(message.name, ())
        if names := [name for name in required if name in message.fields_by_name]:
            schema["required"] = names
        rules = [_one_of(message, name, required=name in required) for name in message.oneofs_by_name]
        if rules := [rule for rule in rules if rule]:
            schema["allOf"] = rules
        return schema

    def of_field(self, field: FieldDescriptor, *, reply: bool) -> Schema:
        """The schema of a field's value."""
        held = field.message_type
        if held is not None and held.GetOptions().map_entry:
            values = self.of_field(held.fields_by_name["value"], reply=reply)
            schema: Schema = {"type": "object", "additionalProperties": values}
        else:
            schema = self._value(field, reply=reply)
            if field.is_repeated:
                schema = {"type": "array", "items": schema}
                if not reply and (counts := COUNTS.get(_owner(field), {}).get(field.name)):
                    schema |= {"minItems": counts[0], "maxItems": counts[1]}
        if text := self._comments.get(field.full_name):
            schema = {"description": text, **schema}
        return schema

    def _value(self, field: FieldDescriptor, *, reply: bool) -> Schema:
        if field.message_type is not None:
            return self.of_message(field.message_type, reply=reply)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        schema = dict(_SCALARS[field.cpp_type])
        if field.type == FieldDescriptor.TYPE_BYTES:
            schema |= {"contentEncoding": "base64"}
        if reply:
            return schema
        if field.type == FieldDescriptor.TYPE_STRING:
            schema["maxLength"] = TEXTS.get(_owner(field), {}).get(field.name, MAX_TEXT_CHARACTERS)
        interval = NUMBERS.get(_owner(field), {}).get(field.name)
        if interval is not None and "string" not in schema["type"]:
            bounds: Schema = {"minimum": interval.low, "maximum": interval.high}
            # A number without presence is "not given" where it is 0, which may lie outside its bounds.
            may_be_zero = not (field.is_repeated or field.has_presence or interval.low <= 0.0 <= interval.high)
            required = field.name in REQUIRED.get(_owner(field), ())
            schema |= {"anyOf": [bounds, {"const": 0}]} if may_be_zero and not required else bounds
        return schema

    def _enum(self, enum: EnumDescriptor) -> Schema:
        if enum.name not in self.components:
            texts = {value.name: self._comments.get(f"{enum.full_name}.{value.name}") for value in enum.values}
            told = [self._comments.get(enum.full_name, "")]
            told += [f"- `{name}`: {text}" for name, text in texts.items() if text]
            schema: Schema = {"type": "string", "enum": [value.name for value in enum.values]}
            if description := "\n".join(told).strip():
                schema["description"] = description
            self.components[enum.name] = schema
        return {"$ref": f"#/components/schemas/{enum.name}"}


def messages_in(message: Descriptor) -> frozenset[str]:
    """The full names of a message and of all that it can hold."""
    found: set[str] = set()
    waiting = [message]
    while waiting:
        current = waiting.pop()
        if current.full_name not in found:
            found.add(current.full_name)
            waiting += [field.message_type for field in current.fields if field.message_type is not None]
    return frozenset(found)


def _owner(field: FieldDescriptor) -> str:
    return "" if field.containing_type is None else field.containing_type.name


def _one_of(message: Descriptor, name: str, *, required: bool) -> Schema | None:
    """At most one member, or just one. None for the oneof of an `optional` field, which nobody wrote."""
    members = [field.name for field in message.oneofs_by_name[name].fields]
    if len(members) == 1 and not required:
        return None
    choices: list[Schema] = [{"required": [member]} for member in members]
    if not required:
        choices.append({"not": {"anyOf": [{"required": [member]} for member in members]}})
    return {"oneOf": choices}
