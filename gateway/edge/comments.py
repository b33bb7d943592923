# SPDX-License-Identifier: GPL-3.0-or-later
"""The comments of the protos, by the full name of what they stand before."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

# Words to buf, not to readers.
_TO_TOOLS: Final = re.compile(r"^\s*buf:lint:.*$", re.MULTILINE)


def comments_of(files: FileDescriptorSet) -> Mapping[str, str]:
    """Comments by full name ("orrery.inference.v1.OrbitalElements.eccentricity"), as one paragraph or more.

    Args:
        files: with source information (`protoc --include_source_info`).
    """
    found: dict[str, str] = {}
    for file in files.file:
        names = dict(_names(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name is not None and (text := _text(location.leading_comments)):
                found[name] = text
    return found


def _text(comment: str) -> str:
    """Lines that belong together as one line; an empty line stays."""
    lines = _TO_TOOLS.sub("", comment).strip().splitlines()
    paragraphs = re.split(r"\n\s*\n", "\n".join(line.strip() for line in lines))
    return "\n\n".join(paragraph.replace("\n", " ").strip() for paragraph in paragraphs).strip()


def _names(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Paths of descriptor.proto's SourceCodeInfo, and the names they lead to."""
    package = file.package
    for i, message in enumerate(file.message_type):
        yield from _in_message(message, (4, i), package)
    yield from _in_enums(file.enum_type, (5,), package)
    for i, service in enumerate(file.service):
        yield (6, i), f"{package}.{service.name}"
        for j, method in enumerate(service.method):
            yield (6, i, 2, j), f"{package}.{service.name}.{method.name}"


def _in_message(message: DescriptorProto, path: tuple[int, ...], scope: str) -> Iterator[tuple[tuple[int, ...], str]]:
    name = f"{scope}.{message.name}"
    yield path, name
    for i, field in enumerate(message.field):
        yield (*path, 2, i), f"{name}.{field.name}"
    for i, oneof in enumerate(message.oneof_decl):
        yield (*path, 8, i), f"{name}.{oneof.name}"
    for i, nested in enumerate(message.nested_type):
        yield from _in_message(nested, (*path, 3, i), name)
    yield from _in_enums(message.enum_type, (*path, 4), name)


def _in_enums(
    enums: Sequence[EnumDescriptorProto], path: tuple[int, ...], scope: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    for i, enum in enumerate(enums):
        name = f"{scope}.{enum.name}"
        yield (*path, i), name
        for j, value in enumerate(enum.value):
            yield (*path, i, 2, j), f"{name}.{value.name}"
