"""Application schemas: those that an application gives to its own types of messages, for documents.

Pure. Whether and how a message is checked is not its business (``warren/message_schemas.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from warren.contract.schemas import REF_TEMPLATE, Schema
from warren.namespaces import Namespaces


class ApplicationSchema(msgspec.Struct, frozen=True):
    """The schema of one type in the rooms of one namespace."""

    namespace: str
    pattern: str
    type: str
    schema: Schema


class ApplicationSchemas:
    """Those of an installation."""

    def __init__(self, schemas: Iterable[ApplicationSchema] = ()) -> None:
        """At most one for each type of a namespace."""
        self._named: dict[str, ApplicationSchema] = {}
        for each in schemas:
            name = _name(each)
            while name in self._named:
                name += "_"
            self._named[name] = each

    @classmethod
    def of(cls, namespaces: Namespaces) -> ApplicationSchemas:
        """Return those that an installation's namespaces give."""
        found = ((policy, *each) for policy in namespaces.policies for each in policy.schemas.items())
        return cls(
            ApplicationSchema(policy.name, policy.pattern, type_, dict(schema) if schema is not True else {})
            for policy, type_, schema in found
        )

    def messages(self) -> Iterator[tuple[str, ApplicationSchema]]:
        """Yield (name, schema) of each; the name is that of its component, and unique."""
        yield from self._named.items()

    def components(self) -> dict[str, Schema]:
        """Return name ▶ schema of the payloads. References inside of a schema lead to where it stands now."""
        place = REF_TEMPLATE.format
        return {name: _moved(each.schema, place(name=name)) for name, each in self._named.items()}


def _name(schema: ApplicationSchema) -> str:
    """Return a name that components may have: letters, digits and ``. - _``."""
    return re.sub(r"[^A-Za-z0-9.\-_]", "_", f"{schema.namespace}.{schema.type}")


# Words whose value maps names to schemas, and those whose value is data.
_NAMED = frozenset({"properties", "patternProperties", "definitions", "$defs", "dependencies"})
_DATA = frozenset({"enum", "const", "default", "examples", "required"})


def _moved(schema: Any, place: str) -> Any:
    """Return a schema whose references to its own parts are right where it stands inside of a document."""
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved: Schema = {}
    for word, value in schema.items():
        if word in ("$schema", "$id"):  # of a document of its own, which it is no longer
            continue
        if word in _DATA:
            moved[word] = value
        elif word in _NAMED and isinstance(value, dict):
            moved[word] = {name: _moved(each, place) for name, each in value.items()}
        elif word == "$ref" and isinstance(value, str) and value.startswith("#"):
            moved[word] = place + value[1:]
        else:
            moved[word] = _moved(value, place)
    return moved
