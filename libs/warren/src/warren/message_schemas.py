"""Message schemas: the JSON schemas that a namespace gives to its types of messages, for documents, and for
checks where the namespace wants those.

A schema stands in the namespace file itself, or is the path of a file of its own. This module does no I/O:
who reads files is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
import yaml

from warren.document_schema import kind_of
from warren.message_rules import TYPE, TYPE_RULE, is_reserved_type, is_type
from warren.payload_schema import InvalidSchema, PayloadSchema

MAX_TYPES: Final = 64
# A schema as JSON, and how many values it may have; aliases in YAML could make it grow without bounds.
MAX_BYTES: Final = 65_536
MAX_VALUES: Final = 10_000
# How deep it may nest.
MAX_LEVELS: Final = 64

Schema = Mapping[str, Any] | Literal[True]
ReadFile = Callable[[str], str]
"""Path ▶ text of a file. Raises OSError, or ValueError for what is no text or too large."""


class MessageSchemas:
    """Those of one namespace. Equal where the schemas are."""

    def __init__(self, schemas: Mapping[str, Schema] | None = None) -> None:
        """Type ▶ schema; nothing is checked before ``prepare``."""
        self._schemas = dict(schemas or {})
        self._text = msgspec.json.encode(self._schemas, order="sorted")
        self._checkers: dict[str, PayloadSchema] = {}

    def __eq__(self, other: object) -> bool:
        """Compare the schemas."""
        return isinstance(other, MessageSchemas) and self._text == other._text

    def __hash__(self) -> int:
        """Hash the schemas."""
        return hash(self._text)

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._schemas)

    def __repr__(self) -> str:
        """Name the types."""
        return f"MessageSchemas({', '.join(self._schemas)})"

    def items(self) -> Iterator[tuple[str, Schema]]:
        """Yield (type, schema), in the order of the file."""
        yield from self._schemas.items()

    def prepare(self, path: str, problems: list[str]) -> None:
        """Make all of them ready for checks; put a line on ``problems`` for each that can't be checked."""
        for type_, schema in self._schemas.items():
            try:
                self._checkers[type_] = PayloadSchema(schema)
            except InvalidSchema as invalid:
                problems.append(f"{path}.{type_}: {invalid}")

    def problem(self, type_: str, payload: bytes, binary: bool) -> str | None:
        """Return what is wrong with a payload of this type (JSON text that a parser has taken, or raw bytes
        where ``binary``); None: nothing, or there is no schema for the type.
        """
        checker = self._checkers.get(type_)
        if checker is None:
            return None
        return "must be JSON, not bytes" if binary else checker.problem(payload)


NO_SCHEMAS: Final = MessageSchemas()


class SchemasByType:
    """The rule of the key: a mapping of types to schemas."""

    says = f"a mapping of at most {MAX_TYPES} message types to JSON schemas"

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take a mapping whose schemas are mappings or true."""
        if not isinstance(value, Mapping) or len(value) > MAX_TYPES:
            problems.append(f"{path}: must be {self.says}, not {kind_of(value)}")
            return NO_SCHEMAS
        unfit = len(problems)
        for type_, schema in value.items():
            place = f"{path}.{type_}"
            if not isinstance(type_, str) or not is_type(type_) or is_reserved_type(type_):
                problems.append(f"{place}: must be a message type: {TYPE_RULE}, and none of Warren's own")
            elif schema is not True and not isinstance(schema, Mapping):
                problems.append(f"{place}: must be a JSON schema (a mapping, or true), or a path (/…)")
            elif wrong := _not_json(schema):
                problems.append(f"{place}: {wrong}")
        return NO_SCHEMAS if len(problems) > unfit else MessageSchemas(value)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema (draft 7) of the mapping; what a schema is, the standard says."""
        return {
            "type": "object",
            "maxProperties": MAX_TYPES,
            "propertyNames": {"pattern": f"^{TYPE.pattern}$"},
            "additionalProperties": {
                "anyOf": [{"type": "object"}, {"const": True}, {"type": "string", "pattern": "^/"}]
            },
        }

    def written(self, value: Any) -> Any:
        """Return the mapping."""
        return dict(value.items())


def with_files(path: str, given: Any, read_file: ReadFile | None, problems: list[str]) -> Any:
    """Return the value of the key with the contents of files in the place of their paths; put a line on
    ``problems`` for each that can't be had. ``read_file`` None: there are no files.
    """
    if not isinstance(given, Mapping):
        return given
    found = dict(given)
    for type_, schema in given.items():
        if not isinstance(schema, str) or not schema.startswith("/"):
            continue
        try:
            if read_file is None:
                raise ValueError("files can't be read here")
            found[type_] = yaml.safe_load(read_file(schema))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            problems.append(f"{path}.{type_}: {schema}: {reason or 'no such file'}")
            found[type_] = True
    return found


def _not_json(schema: Schema) -> str | None:
    """Return why a schema can't stand in a JSON document; None where it can."""
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    values = 0
    while waiting:
        value, level = waiting.pop()
        values += 1
        if values > MAX_VALUES or level > MAX_LEVELS:
            return f"has more than {MAX_VALUES} values, or nests deeper than {MAX_LEVELS} levels"
        if isinstance(value, Mapping):
            if not all(isinstance(name, str) for name in value):
                return "has a key that is no text"
            waiting += [(each, level + 1) for each in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(each, level + 1) for each in value]
        elif isinstance(value, float) and not math.isfinite(value):
            return "has a number that JSON has not"
        elif value is not None and not isinstance(value, str | int | float):
            return f"has what JSON has not: {value!r}"
    if len(msgspec.json.encode(schema)) > MAX_BYTES:
        return f"has more than {MAX_BYTES} bytes"
    return None
