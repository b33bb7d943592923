# SPDX-License-Identifier: GPL-3.0-or-later
"""REST as the contract has it: the `google.api.http` annotations of every service, read from the compiled descriptors.

A method is at the edge because it is annotated; nothing else lists it.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from orrery.inference import v1

_VERBS = ("get", "put", "post", "delete", "patch")
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class RestMethod:
    """One way to call a method by HTTP.

    Attributes:
        method: the gRPC method.
        verb: "POST".
        path: "/api/feedback/{request_id}".
        body: the message that the body is, None where there is no body.
    """

    method: MethodDescriptor
    verb: str
    path: str
    body: Descriptor | None

    @property
    def variables(self) -> tuple[str, ...]:
        """Fields of the request that stand in the path."""
        return tuple(_VARIABLE.findall(self.path))

    @property
    def streams(self) -> bool:
        """Whether the reply is a stream of messages."""
        return bool(self.method.server_streaming)

    @property
    def in_query(self) -> bool:
        """Whether the request is JSON in the query, `?request=...`: the GET form of a stream, for EventSource."""
        return self.streams and self.body is None

    @property
    def pattern(self) -> str:
        """The path as a regular expression (RE2)."""
        return _VARIABLE.sub("[^/]+", self.path)

    @property
    def order(self) -> tuple[int, str]:
        """Sorts paths without variables before those that have some."""
        return len(self.variables), self.path


def services() -> tuple[ServiceDescriptor, ...]:
    """Every service of the contract, by name."""
    found: list[ServiceDescriptor] = []
    for module in pkgutil.iter_modules(v1.__path__, f"{v1.__name__}."):
        if module.name.endswith("_service_pb2"):
            file: FileDescriptor = importlib.import_module(module.name).DESCRIPTOR
            found += file.services_by_name.values()
    return tuple(sorted(found, key=lambda service: service.full_name))


def rest_methods() -> tuple[RestMethod, ...]:
    """Every annotated method, paths without variables first.

    Raises:
        ValueError: an annotation uses a form that the edge has no need for yet.
    """
    methods = [rest for service in services() for method in service.methods for rest in _rules(method)]
    return tuple(sorted(methods, key=lambda rest: (*rest.order, rest.verb)))


def _rules(method: MethodDescriptor) -> Iterator[RestMethod]:
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    if method.client_streaming:
        raise ValueError(f"{method.full_name}: a stream of requests has no REST form here")
    first = options.Extensions[annotations_pb2.http]
    for rule in (first, *first.additional_bindings):
        verb = rule.WhichOneof("pattern")
        if verb not in _VERBS:
            raise ValueError(f"{method.full_name}: no HTTP method")
        path = getattr(rule, verb)
        if "{" in _VARIABLE.sub("", path) or ":" in path:
            raise ValueError(f"{method.full_name}: {path} has more than plain variables")
        yield RestMethod(method, verb.upper(), path, _body(method, rule.body))


def _body(method: MethodDescriptor, body: str) -> Descriptor | None:
    if body in {"", "*"}:
        return method.input_type if body else None
    field = method.input_type.fields_by_name[body]
    if field.message_type is None or field.is_repeated:
        raise ValueError(f"{method.full_name}: the body {body!r} is no message")
    return field.message_type


def descriptor_set() -> FileDescriptorSet:
    """The services' files with all that they import, in the order of their imports: what Envoy's transcoder reads."""
    ordered: dict[str, FileDescriptorProto] = {}

    def add(file: FileDescriptor) -> None:
        if file.name in ordered:
            return
        for dependency in file.dependencies:
            add(dependency)
        ordered[file.name] = FileDescriptorProto.FromString(file.serialized_pb)

    for service in services():
        add(service.file)
    return FileDescriptorSet(file=ordered.values())
