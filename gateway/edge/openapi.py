# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI 3.1 document of REST, from the contract's annotations, comments and bounds: `make protos`."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.edge.comments import comments_of
from gateway.edge.rest import RestMethod, rest_methods, services
from gateway.edge.schemas import Schemas, messages_in

Document: TypeAlias = dict[str, Any]

_INTRODUCTION: Final = """\
Machine learning and what-if simulation for near-Earth objects. REST is the gRPC contract `orrery.inference.v1` as \
JSON: fields have the contract's names, units are in the names, 64-bit integers are text in replies. The frame is \
heliocentric ecliptic J2000 and the time scale TDB unless a field says otherwise.

Refusals are problem documents (RFC 9457) that name every wrong field. A deadline is set with the header \
`grpc-timeout`, for example `500m` (milliseconds) or `20S`; `x-request-id` is kept, or given, and comes back."""

_STREAMED: Final = """

One JSON object a line (`application/x-ndjson`), or server-sent events for `accept: text/event-stream`. Each is a \
`{name}`, but for the last, which says how the call ended: `{{"complete": true}}` (`StreamEnd`), or the problem \
document (`Problem`) that a refusal before the first message would have been. A stream without either was cut off."""
_BY_GET: Final = """

The same as the POST, for a browser's `EventSource`, which can send nothing else: `request` is the request as JSON. \
Close the `EventSource` at the last event, or it will ask again."""

_PROBLEM: Final[Document] = {
    "type": "object",
    "description": "RFC 9457: why a request was refused.",
    "required": ["type", "title", "status", "detail", "code", "reason"],
    "properties": {
        "type": {"type": "string", "description": "tag:inference.orrery,2026:<reason>"},
        "title": {"type": "string"},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is wrong, for people."},
        "code": {"type": "string", "description": "The status of google.rpc.Code: INVALID_ARGUMENT, UNAVAILABLE, ..."},
        "reason": {"type": "string", "description": "For programs: the name of an ErrorReason without its prefix."},
        "domain": {"type": "string"},
        "request_id": {"type": "string", "description": "Names the call in our logs."},
        "errors": {
            "type": "array",
            "description": "Every field that is wrong.",
            "items": {
                "type": "object",
                "required": ["field", "description"],
                "properties": {
                    "field": {"type": "string", "description": "objects[3].elements.eccentricity"},
                    "description": {"type": "string"},
                },
            },
        },
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_STREAM_END: Final[Document] = {
    "type": "object",
    "description": "The last line, or the last event, of a stream whose call succeeded.",
    "required": ["complete"],
    "properties": {"complete": {"const": True}},
}
_REFUSALS: Final[Mapping[str, str]] = {
    "400": "Fields are unknown, of a wrong type or out of their bounds; `errors` names every one.",
    "401": "A bearer token is required, or the one given is not accepted.",
    "403": "The caller lacks the role that the method needs.",
    "404": "No such model version or label.",
    "413": "The request is too large.",
    "415": "The request is not application/json.",
    "429": "Too much at once, or more than this caller's quota; `retry-after` says when to come back.",
    "503": "A part that the answer needs is away; try again.",
    "504": "The deadline passed first.",
    "default": "Any other refusal.",
}


def write(descriptors: Path, examples: Path, target: Path) -> None:
    """Write the document.

    Args:
        descriptors: a descriptor set with source information (build/protos.binpb).
        examples: a folder with requests as JSON, by the name of the method.
        target: where to write.
    """
    comments = comments_of(FileDescriptorSet.FromString(descriptors.read_bytes()))
    requests = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(examples.glob("*.json"))}
    text = json.dumps(document(comments, requests), indent=1, ensure_ascii=False)
    target.write_text(text + "\n", encoding="utf-8")


def document(comments: Mapping[str, str], examples: Mapping[str, Any]) -> Document:
    """The OpenAPI document.

    Args:
        comments: of the contract, by full name.
        examples: requests by the name of their method.
    """
    methods = rest_methods()
    asked = [messages_in(rest.method.input_type) for rest in methods]
    schemas = Schemas(comments, frozenset().union(*asked))
    paths: Document = {}
    for rest in methods:
        paths.setdefault(rest.path, {})[rest.verb.lower()] = _operation(rest, schemas, comments, examples)
    tags = {rest.method.containing_service.full_name for rest in methods}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orrery Inference",
            "version": version("orrery-inference"),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "tags": [
            {"name": service.name, "description": comments.get(service.full_name, "")}
            for service in services()
            if service.full_name in tags
        ],
        "paths": paths,
        "components": {
            "schemas": dict(sorted((schemas.components | {"Problem": _PROBLEM, "StreamEnd": _STREAM_END}).items())),
            "responses": {
                f"Refusal{status.capitalize()}": _refusal(status, told) for status, told in _REFUSALS.items()
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    rest: RestMethod, schemas: Schemas, comments: Mapping[str, str], examples: Mapping[str, Any]
) -> Document:
    method = rest.method
    told = comments.get(method.full_name, method.name)
    if rest.streams:
        told += _STREAMED.format(name=method.output_type.name)
    if rest.in_query:
        told += _BY_GET
    operation: Document = {
        "operationId": f"{method.name}ByGet" if rest.in_query else method.name,
        "tags": [method.containing_service.name],
        "summary": told.partition(". ")[0].partition("\n")[0].removesuffix("."),
        "description": told,
    }
    if parameters := _parameters(rest, schemas):
        operation["parameters"] = parameters
    if rest.body is not None:
        content: Document = {"schema": schemas.of_message(rest.body, reply=False)}
        if method.name in examples:
            content["example"] = examples[method.name]
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    reply = {"schema": schemas.of_message(method.output_type, reply=True)}
    media = ("application/x-ndjson", "text/event-stream") if rest.streams else ("application/json",)
    answered = {"description": "The answer.", "content": dict.fromkeys(media, {} if rest.streams else reply)}
    refusals = {status: {"$ref": f"#/components/responses/Refusal{status.capitalize()}"} for status in _REFUSALS}
    operation["responses"] = {"200": answered, **refusals}
    return operation


def _parameters(rest: RestMethod, schemas: Schemas) -> list[Document]:
    """Variables of the path; the fields of a request without a body are asked for in the query."""
    fields = rest.method.input_type.fields_by_name
    named = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of_field(fields[name], reply=False)}
        for name in rest.variables
    ]
    if rest.body is not None:
        return named
    if rest.in_query:
        schema = schemas.of_message(rest.method.input_type, reply=False)
        return [
            {"name": "request", "in": "query", "required": True, "content": {"application/json": {"schema": schema}}}
        ]
    simple = [field for field in fields.values() if field.message_type is None and field.name not in rest.variables]
    return named + [
        {"name": field.name, "in": "query", "schema": schemas.of_field(field, reply=False)} for field in simple
    ]


def _refusal(status: str, told: str) -> Document:
    refusal: Document = {
        "description": told,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {"429", "503"}:
        refusal["headers"] = {"retry-after": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return refusal
