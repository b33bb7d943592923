# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings are read from environment variables; what is wrong with one is reported by the variable's name."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, Union, get_args, get_origin

from pydantic import AfterValidator, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from gateway.serving.starting import CannotStart

_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", Path: "a folder"}
_BOUNDS: Final = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
# Marks of types, which the words for what is allowed are.
_IS_FILE: Final = "a file"
_IS_ADDRESS: Final = "host:port"
_LISTENS: Final = "listens"


def split_address(address: str) -> tuple[str, int]:
    """The host and port of "host:port" ("[::1]:50051" for IPv6).

    Raises:
        ValueError: there is no port, or it is no number from 0 to 65535.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


def _address(value: str) -> str:
    split_address(value)
    return value


Address: TypeAlias = Annotated[str, AfterValidator(_address), _IS_ADDRESS]
# What the pod itself listens on; port 0 takes a free one.
ListenAddress: TypeAlias = Annotated[str, AfterValidator(_address), _IS_ADDRESS, _LISTENS]
# A file that must be there when the pod starts.
File: TypeAlias = Annotated[Path, _IS_FILE]


class InvalidSettings(CannotStart):
    """Settings with values that are not allowed, or without one that is required."""


class Settings(BaseSettings):
    """Base of every class of settings: a field is the environment variable of its prefix and its name."""

    def __init__(self, **values: Any) -> None:
        """Read the environment; values given here go before it.

        Raises:
            InvalidSettings: one sentence for each field that is wrong.
        """
        try:
            # pydantic takes values by alias.
            super().__init__(**{self._key(name): value for name, value in values.items()})
        except ValidationError as error:
            raise InvalidSettings(*map(self._cause, error.errors(include_url=False))) from None

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of a field: "ORRERY_FRONT_ADDRESS"."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Let a field that is declared again, with another default, keep its meaning and its unit."""
        for name, field in cls.model_fields.items():
            for base in cls.__mro__[1:]:
                if field.description is None and issubclass(base, Settings) and name in base.model_fields:
                    field.description = base.model_fields[name].description
                    field.json_schema_extra = base.model_fields[name].json_schema_extra

    @classmethod
    def _key(cls, name: str) -> str:
        field = cls.model_fields.get(name)
        return name if field is None or field.validation_alias is None else str(field.validation_alias)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The settings that a process with this environment would have.

        Raises:
            InvalidSettings: see `__init__`.
        """
        given = {name.upper(): value for name, value in environment.items()}
        values = {field: given[name] for field in cls.model_fields if (name := cls.variable(field)) in given}
        return cls(**values)

    def listen_addresses(self) -> Iterator[tuple[str, str]]:
        """(variable, address) of what the pod listens on; a port 0, which takes a free port, is left out."""
        for name, field in type(self).model_fields.items():
            address = getattr(self, name)
            if address and _LISTENS in _marks(field) and split_address(address)[1]:
                yield self.variable(name), address

    def require_files(self) -> None:
        """Check that every file that is named can be read.

        Raises:
            InvalidSettings: one sentence for each that cannot.
        """
        causes = []
        for name, field in type(self).model_fields.items():
            path = getattr(self, name)
            if path is None or _IS_FILE not in _marks(field):
                continue
            try:
                path.open("rb").close()
            except OSError as error:
                causes.append(f"{self.variable(name)} names {path}: {error.strerror}")
        if causes:
            raise InvalidSettings(*causes)

    @contextlib.contextmanager
    def naming(self, *fields: str) -> Iterator[None]:
        """Name the variables of some fields in what the block raises because their values make no sense.

        Raises:
            InvalidSettings: in place of an OSError or a ValueError.
        """
        try:
            yield
        except (OSError, ValueError) as error:
            named = [self.variable(field) for field in fields if getattr(self, field) is not None]
            raise InvalidSettings(f"{' or '.join(named)}: {error}") from error

    @classmethod
    def _cause(cls, error: ErrorDetails) -> str:
        place = str(error["loc"][0])
        name = next((name for name in cls.model_fields if place in (name, cls._key(name))), None)
        if name is None:
            return f"{place} is no setting of {cls.__name__}"
        field, variable = cls.model_fields[name], cls.variable(name)
        if error["type"] == "missing":
            return f"{variable} is not set; it must be {allowed(field)}"
        # From a validator of ours, whose sentence shows the value if it may be shown.
        if error["type"] == "value_error":
            return f"{variable}: {error['ctx']['error']}"
        value = "wrong" if is_secret(field) else repr(error["input"])
        return f"{variable} is {value}; it must be {allowed(field)}"


def is_secret(field: FieldInfo) -> bool:
    """Whether a field's value must not be shown."""
    return SecretStr in _kinds(field)


def allowed(field: FieldInfo) -> str:
    """What a field may be, in words: "a whole number, at least 1"."""
    marked = [mark for mark in (_IS_FILE, _IS_ADDRESS) if mark in _marks(field)]
    kinds = marked or [
        _one_of(map(str, get_args(kind))) if get_origin(kind) is Literal else _KINDS.get(kind, "text")
        for kind in _kinds(field)
    ]
    bounds = [
        f"{phrase} {bound:g}"
        for constraint in field.metadata
        for name, phrase in _BOUNDS.items()
        if (bound := getattr(constraint, name, None)) is not None
    ]
    return ", ".join([_one_of(kinds), *bounds])


def _one_of(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _members(field: FieldInfo) -> Iterator[Any]:
    """The members of a union except None, or the one type that there is."""
    annotation = field.annotation
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    yield from (member for member in members if member is not NoneType)


def _kinds(field: FieldInfo) -> list[Any]:
    return [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in _members(field)]


def _marks(field: FieldInfo) -> list[Any]:
    inner = [mark for kind in _members(field) if get_origin(kind) is Annotated for mark in get_args(kind)[1:]]
    return [*field.metadata, *inner]
